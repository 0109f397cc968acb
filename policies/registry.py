"""Policies by name. A new one is one file and one line here."""

from __future__ import annotations

import importlib
from typing import cast

from policies.base import SequencePolicy
from policies.config import PolicyConfig
from policies.contract import Contract

POLICIES = {
    "memory_policy": "policies.navigation:MemoryPolicy",
}


def make_policy(config: PolicyConfig, offered: Contract) -> SequencePolicy:
    """A fresh policy for an environment that offers these sensors and actions.

    Raises:
        ValueError: there is no such policy.
        ContractError: it cannot do with what is offered.
    """
    config.validate()
    module, name = POLICIES[config.name].split(":")
    return cast(SequencePolicy, getattr(importlib.import_module(module), name)(config, offered))
