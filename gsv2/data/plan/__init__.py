"""Plan of what is read when: lanes, windows, sequences and micro-batches, from the index alone."""

from gsv2.data.plan.plan import Plan, unweighted_plan, validation_plan

__all__ = ["Plan", "unweighted_plan", "validation_plan"]
