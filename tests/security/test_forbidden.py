"""What must not be written in this project: each rule finds a planted sample, and nothing in the product.

The rules look at the syntax tree, as semgrep would, without a program of 200 MB and its licence.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from tests.shared import ROOT

pytestmark = pytest.mark.security
PRODUCT = ("api", "cohorts", "models", "pat_runner", "postprocessing", "preprocessing", "serving", "training")
FACES = ("service.py", "cli.py")
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}
OF_REQUESTS = {"body", "payload", "content", "request", "headers", "recording", "document", "claims", "token"}
OF_REQUESTS |= {"authorization", "values", "subject", "receive", "scope", "message", "query", "params"}
OPENS_PICKLES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
EXPORTERS = ("SpanExporter", "SpanProcessor", "TracerProvider", "MeterProvider", "LoggerProvider")
ON_THE_WIRE = ("opentelemetry.exporter", "opentelemetry.proto")


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for a name or attribute; whatever it hangs on is ``?``."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return "?"


def imports(node: ast.AST) -> Iterator[str]:
    """What an import names, in full: ``import a.b`` and ``from a import b`` are both ``a.b``."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def names(node: ast.AST, *wanted: str) -> bool:
    """Whether the node uses or imports something under one of these dotted names."""
    found = [*imports(node), *([dotted(node)] if isinstance(node, ast.Attribute | ast.Name) else [])]
    return any(name == want or name.startswith(f"{want}.") for name in found for want in wanted)


def keyword(node: ast.AST, name: str) -> object:
    """The constant that a call gives for a keyword; None where it gives none."""
    given = [k.value for k in node.keywords if k.arg == name] if isinstance(node, ast.Call) else []
    return given[0].value if given and isinstance(given[0], ast.Constant) else None


def opens_a_pickle(node):
    modules = {name.split(".")[0] for name in imports(node)}
    return bool(modules & OPENS_PICKLES) or keyword(node, "allow_pickle") is True


def loads_torch_unsafely(node):
    called = dotted(node.func) if isinstance(node, ast.Call) else ""
    return called == "torch.load" and keyword(node, "weights_only") is not True


def does_not_verify(node):
    unverified = names(node, "ssl._create_unverified_context", "ssl.CERT_NONE")
    return unverified or any(
        keyword(node, name) is False for name in ("verify", "check_hostname", "verify_ssl")
    )


def loads_yaml(node):
    called = dotted(node.func) if isinstance(node, ast.Call) else ""
    unsafe = {"load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all"}
    return called.startswith("yaml.") and called.split(".")[1] in unsafe


def is_an_api(function):
    plain = (mark.func if isinstance(mark, ast.Call) else mark for mark in function.decorator_list)
    return any(dotted(mark) in ("bentoml.api", "api") for mark in plain)


def takes_a_file(node):
    """BentoML downloads what a Path or a file field names, and unpickles containers of arrays."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not is_an_api(node):
        return False
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    said = " ".join(ast.unparse(argument.annotation) for argument in every if argument.annotation)
    return any(
        kind in said for kind in ("Path", "File", "Image", "ContentType", "IO[", "ndarray", "DataFrame")
    )


def logs_what_was_sent(node):
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner = dotted(node.func.value).split(".")[-1].lower()
    if node.func.attr not in LEVELS or owner not in ("log", "logger", "logging", "_log", "?"):
        return False
    parts = [part for argument in (*node.args, *node.keywords) for part in ast.walk(argument)]
    used = {part.id for part in parts if isinstance(part, ast.Name)}
    used |= {part.attr for part in parts if isinstance(part, ast.Attribute)}
    return bool(used & OF_REQUESTS)


def runs_a_shell(node):
    return names(node, "os.system", "os.popen", "subprocess.getoutput") or keyword(node, "shell") is True


def exports_telemetry(node):
    found = [*imports(node), dotted(node)]
    return any(name.startswith(ON_THE_WIRE) or name.endswith(EXPORTERS) for name in found)


def unpacks_everything(node):
    unpacked = isinstance(node, ast.Attribute) and node.attr == "extractall"
    return unpacked or names(node, "shutil.unpack_archive")


@dataclass(frozen=True)
class Rule:
    """What is looked for, code that must be found, and where it is allowed, each with its reason."""

    finds: Callable[[ast.AST], bool]
    samples: tuple[str, ...]
    allowed: Mapping[str, str] = field(default_factory=dict)
    rooms: tuple[str, ...] = (*PRODUCT, *FACES)


RULES = {
    "bentoml.task, which writes bodies and tokens in plain text": Rule(
        lambda node: names(node, "bentoml.task"),
        ("@bentoml.task\ndef f(self): ...", "from bentoml import task"),
    ),
    "a pickle, opened": Rule(
        opens_a_pickle,
        ("import pickle", "from marshal import loads", "import shelve", "numpy.load(p, allow_pickle=True)"),
    ),
    "torch.load that may open a pickle": Rule(
        loads_torch_unsafely, ("torch.load(p)", "torch.load(p, weights_only=False)")
    ),
    "a certificate that is not verified": Rule(
        does_not_verify,
        ("httpx.get(u, verify=False)", "ssl._create_unverified_context()", "c.verify_mode = ssl.CERT_NONE"),
    ),
    "BentoML's import of archives, which unpacks first": Rule(
        lambda node: names(
            node,
            "bentoml.importing",
            "bentoml.import_bento",
            "bentoml.import_model",
            "bentoml.models.import_model",
        ),
        ("import bentoml.importing", "bentoml.import_bento(p)", "bentoml.models.import_model(p)"),
    ),
    "a file or a path as input of an API": Rule(
        takes_a_file,
        (
            "@bentoml.api\ndef f(self, p: Path): ...",
            "@bentoml.api(batchable=True)\nasync def f(self, x: np.ndarray): ...",
        ),
    ),
    "YAML that makes objects": Rule(loads_yaml, ("yaml.load(t)", "yaml.unsafe_load(t)")),
    "a log line with what was sent": Rule(
        logs_what_was_sent,
        (
            "log.info('got %s', body)",
            "logging.getLogger('x').error(f'{request.headers}')",
            "log.debug('x', extra={'t': claims['sub']})",
        ),
        {"api/subjects.py": "the minutes of an emergency, a checked number"},
    ),
    "print in a service": Rule(
        lambda node: isinstance(node, ast.Call) and dotted(node.func) in ("print", "sys.stdout.write"),
        ("print(x)", "sys.stdout.write(x)"),
        rooms=("api", "serving", "pat_runner", "service.py"),
    ),
    "the environment, read": Rule(
        lambda node: names(node, "os.environ", "os.getenv", "os.environb"),
        ("os.environ['X']", "os.getenv('X')", "from os import environ"),
        {
            "serving/settings.py": "the one reader",
            "cohorts/on_ray.py": "says to Ray, before it is loaded, to be silent and to stay on this machine",
            "serving/hardening.py": "says to BentoML that it is not to be tracked, before it asks",
            "cli.py": "hands it to Settings and to the service that it becomes",
        },
    ),
    "a shell": Rule(runs_a_shell, ("subprocess.run(c, shell=True)", "os.system(c)", "from os import popen")),
    "bentoml.monitor, which writes inputs to disk": Rule(
        lambda node: names(node, "bentoml.monitor"), ("with bentoml.monitor('x') as m: ...",)
    ),
    "a temporary file": Rule(
        lambda node: names(node, "tempfile"),
        ("import tempfile", "from tempfile import mkdtemp"),
        {
            "cohorts/on_ray.py": "sockets and logs of Ray, without recordings, removed with it",
            "models/store.py": "weights of an archive, judged before they enter the store",
            "models/download.py": "weights on their way",
            "cli.py": "weights on their way",
            "serving/start.py": "the service's own folder, in memory",
        },
    ),
    "telemetry that leaves": Rule(
        exports_telemetry,
        (
            "from opentelemetry.sdk.trace.export import BatchSpanProcessor",
            "import opentelemetry.exporter.otlp.proto.http",
            "trace.TracerProvider()",
            "from opentelemetry.sdk.metrics import MeterProvider",
            "from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest",
        ),
        {
            "serving/spans.py": "the allow-list that they pass",
            "serving/tracing.py": "puts spans on the way out, which is not opened before the list is there",
            "serving/otlp_metrics.py": "writes down what its list of names and labels lets out",
            "serving/otlp_logs.py": "writes down what a line on standard output says",
            "api/tracing.py": "puts that in the place of BentoML's",
        },
    ),
    "an archive that unpacks itself": Rule(
        unpacks_everything, ("tar.extractall(p)", "from shutil import unpack_archive")
    ),
    "code made at run time": Rule(
        lambda node: (
            isinstance(node, ast.Call) and dotted(node.func) in ("eval", "exec", "compile", "__import__")
        ),
        ("eval(x)", "exec(x)"),
    ),
}


def found(rule: Rule, source: str) -> list[int]:
    return [getattr(node, "lineno", 0) for node in ast.walk(ast.parse(source)) if rule.finds(node)]


def files(rooms: tuple[str, ...]) -> Iterator[str]:
    for room in rooms:
        at = ROOT / room
        yield from ([room] if at.is_file() else (str(p.relative_to(ROOT)) for p in sorted(at.rglob("*.py"))))


@pytest.mark.parametrize("name", RULES)
def test_a_rule_finds_what_is_planted(name):
    for sample in RULES[name].samples:
        assert found(RULES[name], sample), sample


@pytest.mark.parametrize("name", RULES)
def test_nothing_forbidden_is_in_the_product(name):
    rule = RULES[name]
    places = {f: lines for f in files(rule.rooms) if (lines := found(rule, (ROOT / f).read_text()))}
    assert {f: lines for f, lines in places.items() if f not in rule.allowed} == {}


def test_what_is_good_is_not_found():
    good = (
        "torch.load(p, weights_only=True)",
        "yaml.safe_load(t)",
        "log.info('profile %s', settings.profile)",
        "@bentoml.api\nasync def analyze(self, recording: RecordingRequest, /) -> dict: ...",
        "numpy.load(p, allow_pickle=False)",
    )
    for sample in good:
        assert not any(found(rule, sample) for rule in RULES.values()), sample
