"""How long a migration will take and what it will cost, from figures that both sides give. Reads; writes no state."""
