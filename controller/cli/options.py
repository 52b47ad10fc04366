"""Options and arguments that several commands share."""

from typing import Annotated, Any, Final, Literal

import typer

from controller.cli import complete

Output = Annotated[
    Literal["text", "json"], typer.Option("--output", "-o", help="Write text for people, or JSON for programs.")
]

# of a project on this machine, or at an address
Target = Annotated[str, typer.Argument(metavar="PATH", help="The project's folder, or a repository's address.")]
Ref = Annotated[str, typer.Option(metavar="REF", help="Branch, tag or commit of a repository's address.")]
Folder = Annotated[str, typer.Option("--path", metavar="FOLDER", help="The project's folder in the repository.")]
Variables = Annotated[
    list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="A variable for every stage; may be repeated.")
]

# of a request on a cluster
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The request's name.", show_default=False, autocompletion=complete.requests),
]
Run = Annotated[
    str, typer.Option("--run", metavar="RUN", help="A number, latest or good.", autocompletion=complete.runs)
]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the run to its end; the exit code is its outcome.")]
Whole = Annotated[bool, typer.Option("--all", help="Run all stages, whatever REUSE in the project says.")]
Timeout = Annotated[
    str, typer.Option(metavar="DURATION", help="Stop following after this long, like 30s, 5m or 1h30m.")
]
Local = Annotated[
    bool | None,
    typer.Option(
        "--local/--cluster",
        help="Runs of this machine, or a cluster's; by default a cluster's, if one is configured.",
        show_default=False,
    ),
]

# which cluster, and which of its namespaces
Namespace = Annotated[
    str,
    typer.Option("--namespace", "-n", metavar="NAME", help="The namespace; by default the context's, else coachwork."),
]
Context = Annotated[str, typer.Option(metavar="NAME", help="The kubeconfig's context; by default its current one.")]
Kubeconfig = Annotated[
    str, typer.Option(metavar="FILE", help="By default $KUBECONFIG, ~/.kube/config, or the pod's own account.")
]
WHERE: Final[dict[str, Any]] = {"namespace": Namespace, "context": Context, "kubeconfig": Kubeconfig}
