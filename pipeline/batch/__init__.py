"""The batch lane: texts go in files, and come back within a day at half the price.

`lane` is the engine, `desk` places orders and looks them up, `collecting` takes in what they have come to;
`orders` keeps them in the store, `files` packs them, `tickets` makes of it one outcome a request.
"""
