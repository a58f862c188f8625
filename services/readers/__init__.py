"""Readers: commands that read the journal and nothing else, from any Kafka, beside anything.

`balance` adds up the books from the facts, independently of the ledger's tables; `balance --call` tells one call's
story; `tail` shows records as they land. They write nothing and join no consumer group: nobody notices them.
"""
