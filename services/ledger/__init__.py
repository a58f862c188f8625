"""Ledger: keeps the books of all calls and the callback list, as a projection of the journal into SQL.

Decides that a call without a further word is owed a callback, and that a caller who reached somebody by a later call is
owed none any more. Asks nobody. Hears `calls`, every record of it, and moves its place in it within the same SQL
transaction, so that nothing is counted twice or missed. Tells: `CallbackDue` and `Reconnected`, on `calls` first; its
own tables follow when it reads them back, and can be rebuilt from the journal at any time.

When it is gone: no call notices. The list stands still until it is back, and then catches up.
"""
