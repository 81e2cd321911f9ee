"""The pages behind claim links."""

from cardrail.api.claim.links import claim_out
from cardrail.api.claim.pages import CLAIM_PAGES

__all__ = ["CLAIM_PAGES", "claim_out"]
