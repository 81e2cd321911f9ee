"""Cardrail: open rails for gift cards and digital goods.

The folders are the business: `catalog` says what is sold, `vault` keeps the codes, `ledger` the money, `orders`
brings the three together, and the surfaces (`api`, `console`, `shop`, `cli`) let people and machines use them.
"""

__version__ = "0.1.0"
