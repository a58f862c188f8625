"""The policies that a firewall screens by: followed, vetted, kept, wished for, and the switch past all of them."""
