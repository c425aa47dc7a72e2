"""`bookplate influence`: which training documents caused this behaviour?"""

import typer

from . import (
    influence_audit_command,
    influence_fit_command,
    influence_next_command,
    influence_plan_command,
    influence_score_command,
)

__all__ = ["app"]

app = typer.Typer(
    help="Which training documents made the model say this? EK-FAC influence functions, with a TF-IDF "
    "filter.",
    no_args_is_help=True,
)
influence_plan_command.register(app)
influence_fit_command.register(app)
influence_score_command.register(app)
influence_next_command.register(app)
influence_audit_command.register(app)
