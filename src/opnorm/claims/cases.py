"""Which methods a claim is made about: each by itself, compared with another, or all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace

from opnorm.claims.claim import Case, Cases
from opnorm.claims.methods import (
    LINF,
    MAIN,
    Context,
    Method,
    Role,
    adversarial,
    any_method,
    but_for_the_solver,
    solved_by_power,
    solved_exactly,
)

DIRECTIONS = ("random", "adversarial")


def case(context: Context, *methods: Method, pooled: bool = False) -> Case:
    """A case in the experiment's own ball."""
    return Case(methods, context.norm, context.epsilon, pooled=pooled)


def each(role: Role) -> Cases:
    """Each main method of a role by itself."""
    return lambda context: [case(context, method) for method in context.those(role)]


def each_of(group: str) -> Cases:
    """Each method of a group by itself, in the ball of its training."""
    return lambda context: [Case((method,), method.norm, method.epsilon) for method in context.those(any_method, group)]


def compared(role: Role, other: Role, group: str | None = MAIN) -> Cases:
    """Each method of one role and group, or of all groups, with the first main one of another role."""
    return lambda context: [
        case(context, method, reference)
        for reference in context.first(other)
        for method in context.those(role, group)
        if method is not reference
    ]


def solvers(context: Context) -> list[Case]:
    """Each main regulariser solved by the power method, with the first that is solved exactly and else the same."""
    exact: dict[Hashable, Method] = {}
    for method in context.those(solved_exactly):
        exact.setdefault(but_for_the_solver(method), method)
    by_power = [(method, exact.get(but_for_the_solver(method))) for method in context.those(solved_by_power)]
    return [case(context, method, same) for method, same in by_power if same is not None]


def in_linf_ball(cases: Cases) -> Cases:
    """The cases, in the ball of adversarial training in the group `linf`; none where there is no such training."""
    return lambda context: [
        replace(of, norm=trained.norm, epsilon=trained.epsilon)
        for trained in context.first(adversarial, LINF)
        for of in cases(context)
    ]


def in_linf(role: Role, other: Role, group: str = LINF) -> Cases:
    """Each method of a role that was trained in an l-infinity ball, with the first of another role and group, in the
    ball of adversarial training there."""

    return in_linf_ball(
        lambda context: [
            case(context, method, reference)
            for method in context.those(role, LINF)
            for reference in context.first(other, group)
        ]
    )


def together(at_least: int) -> Cases:
    """All main methods at once, where there are so many."""

    def cases(context: Context) -> list[Case]:
        found = context.those(any_method)
        return [case(context, *found, pooled=True)] if len(found) >= at_least else []

    return cases


def detailed(cases: Cases, details: Callable[[Context], Iterable[str]]) -> Cases:
    """Each case once for each detail."""
    return lambda context: [replace(of, detail=detail) for of in cases(context) for detail in details(context)]


def in_l2(cases: Cases) -> Cases:
    """The cases, where the experiment's epsilon is an l2 length as distances are; none otherwise."""
    return lambda context: cases(context) if context.norm == 2.0 else []


def in_directions(cases: Cases) -> Cases:
    """Each case in l2 once for each direction, which is its detail."""
    return in_l2(detailed(cases, lambda _: DIRECTIONS))
