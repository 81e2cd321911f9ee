"""What FoxReload's pages leave open: a section per surface, each with defaults that an operator can override."""

from __future__ import annotations

import msgspec

from cardrail.api.dialects.foxreload.generic.profile import GenericProfile
from cardrail.api.dialects.foxreload.public.profile import PublicProfile
from cardrail.api.dialects.foxreload.v1.profile import V1Profile


class FoxreloadProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choices of the three surfaces: [foxreload.generic], [foxreload.v1] and [foxreload.public] in the profile file."""

    generic: GenericProfile = GenericProfile()
    v1: V1Profile = V1Profile()
    public: PublicProfile = PublicProfile()
