"""How requests reach a service: bounded in number, rate and time, repeated with back-off, fenced by the lease."""

from replicator.delivery.budget import RateBudget
from replicator.delivery.concurrency import AdaptiveLimiter
from replicator.delivery.delivery import Delivery
from replicator.delivery.fence import Fence, may_start
from replicator.delivery.retry import Backoff, retrying
from replicator.delivery.suspects import Suspects

__all__ = ["AdaptiveLimiter", "Backoff", "Delivery", "Fence", "RateBudget", "Suspects", "may_start", "retrying"]
