"""The hunt of one call through administrative lines: which is dialled next, and through which trunk."""
