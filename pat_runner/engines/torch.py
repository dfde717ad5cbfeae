"""The folded encoder in PyTorch: float32 on CPU, float32 or bf16 on CUDA, where passes are CUDA graphs.

In bf16 the attention, most of the work, is computed in bfloat16; everything else stays in float32 (on the
tensor cores as TF32), for that is where the rounding would hurt.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # the name everybody reads

from models.checkpoint import Checkpoint
from models.config import PATConfig, position_table
from pat_runner.engines import (
    BF16,
    FLOAT32,
    EngineOptions,
    EngineOutput,
    EngineUnavailable,
    Floats,
    Precision,
    Want,
    joined,
)

__all__ = ["FoldedEncoder", "TorchEngine", "load"]

CUDA_WEEKS = 256  # at a time; more are no faster
CAPTURED_MINUTES = 10_080  # passes over whole weeks are captured as CUDA graphs, other lengths are not

Passed = tuple[Tensor, Tensor, Tensor | None]  # pooled (B, 96), tokens (B, N, 96), profile (B, N)


class FoldedEncoder:
    """The arithmetic of ``models.fold``, on one device; ``attention`` is the type attention computes in."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, attention: torch.dtype) -> None:
        self.config: PATConfig = checkpoint.config
        self.device = device
        self._attention = attention
        self._tensors = {name: _tensor(array).to(device) for name, array in checkpoint.folded.items()}
        self._positions: dict[int, Tensor] = {}

    def positions(self, n: int) -> Tensor:
        """Return the positional table (n, 96) on the device."""
        if n not in self._positions:
            self._positions[n] = torch.tensor(position_table(n, self.config.width)).to(self.device)
        return self._positions[n]

    def __call__(self, weeks: Tensor, *, profile: bool) -> Passed:
        """Encode ``weeks`` (B, T) that lie on the device."""
        x = self._embedded(weeks)
        last, received = self.config.layers - 1, None
        for i in range(self.config.layers):
            x, counted = self._block(f"blocks.{i}", x, profile=profile and i == last)
            received = counted if counted is not None else received
        return x.mean(dim=1), x, received

    def _embedded(self, weeks: Tensor) -> Tensor:
        n, patch = self.config.patches(weeks.shape[1]), self.config.patch
        positions = self.positions(n)
        if not self.config.conv:
            return self._linear("embedding", weeks.view(-1, n, patch)) + positions
        weight, bias = self._of("embedding")
        filtered = F.conv1d(weeks.reshape(-1, 1, patch), weight, bias, padding=1)  # (B * N, 96, P)
        return F.relu(filtered).mean(dim=2).view(len(weeks), n, -1) + positions

    def _block(self, name: str, x: Tensor, *, profile: bool) -> tuple[Tensor, Tensor | None]:
        attend = self._attended_and_counted if profile else self._attended
        queries = self._linear(f"{name}.scores", x).view(len(x), -1, self.config.width)  # (B, N * H, 96)
        mixed, received = attend(queries.to(self._attention), x.to(self._attention))
        merged = self._linear(f"{name}.mix", mixed.view(len(x), x.shape[1], -1).to(x.dtype))
        x = self._norm(f"{name}.norm1", x + merged)
        fed = self._linear(f"{name}.contract", F.relu(self._linear(f"{name}.expand", x)))
        return self._norm(f"{name}.norm2", x + fed), received

    @staticmethod
    def _attended(queries: Tensor, x: Tensor) -> tuple[Tensor, None]:
        keys = x.unsqueeze(1)  # one head, as wide as the model
        return F.scaled_dot_product_attention(queries.unsqueeze(1), keys, keys, scale=1.0).squeeze(1), None

    def _attended_and_counted(self, queries: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Attend a head's worth of queries at a time; add up what each key (B, N) receives."""
        received = torch.zeros(x.shape[:2], device=x.device)
        mixed = []
        for piece in torch.split(queries, x.shape[1], dim=1):  # (B, N, 96)
            shares = torch.softmax(piece @ x.transpose(1, 2), dim=-1)  # (B, N, N)
            mixed.append(shares @ x)
            received += shares.sum(dim=1, dtype=torch.float32)
        return torch.cat(mixed, dim=1), received / received.sum(dim=1, keepdim=True)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, *self._of(name))

    def _norm(self, name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (self.config.width,), *self._of(name), eps=self.config.layer_norm_eps)

    def _of(self, name: str) -> tuple[Tensor, Tensor]:
        return self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]


def _tensor(array: Floats) -> Tensor:
    """Copy ``array``; a matrix (in, out) becomes (out, in), as F.linear wants it."""
    return torch.tensor(array.T.copy() if array.ndim == 2 else array)


@dataclass(frozen=True)
class _Captured:
    """One pass as a CUDA graph, between fixed places in the GPU's memory."""

    graph: torch.cuda.CUDAGraph
    weeks: Tensor
    passed: Passed


class _CapturedPasses:
    """Whole weeks as CUDA graphs, one per power of two of weeks; a batch is padded to the next."""

    def __init__(self, encoder: FoldedEncoder) -> None:
        self._encoder = encoder
        self._captured: dict[tuple[int, bool], _Captured] = {}

    def __call__(self, weeks: Tensor, *, profile: bool) -> Passed:
        n = len(weeks)
        key = (1 << (n - 1).bit_length(), profile)
        if key not in self._captured:
            self._captured[key] = self._capture(*key)
        captured = self._captured[key]
        captured.weeks[:n].copy_(weeks)
        captured.graph.replay()
        pooled, tokens, received = captured.passed
        return pooled[:n], tokens[:n], None if received is None else received[:n]

    def _capture(self, weeks: int, profile: bool) -> _Captured:
        place = torch.zeros(weeks, CAPTURED_MINUTES, device=self._encoder.device)
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch does not annotate it
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries set themselves up before the capture, on a stream beside
            for _ in range(3):
                self._encoder(place, profile=profile)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            passed = self._encoder(place, profile=profile)
        return _Captured(graph, place, passed)


class TorchEngine:
    """One encoder; on CPU week after week, on CUDA up to ``CUDA_WEEKS`` weeks at once."""

    name = "torch"

    def __init__(self, encoder: FoldedEncoder, precision: Precision) -> None:
        self.precision: Precision = precision
        self.bound = FLOAT32 if precision == "fp32" else BF16
        self._encoder = encoder
        on_gpu = encoder.device.type == "cuda"
        self.at_once = CUDA_WEEKS if on_gpu else 1
        self._graphs = _CapturedPasses(encoder) if on_gpu else None

    def run(self, weeks: Floats, want: Want) -> EngineOutput:
        """Encode standardised ``weeks`` (N, T)."""
        starts = range(0, len(weeks), self.at_once)
        with torch.inference_mode():
            return joined([self._part(weeks[start : start + self.at_once], want) for start in starts])

    def _part(self, weeks: Floats, want: Want) -> EngineOutput:
        batch = torch.tensor(weeks).to(self._encoder.device)
        captured = self._graphs is not None and batch.shape[1] == CAPTURED_MINUTES
        passes = self._graphs if self._graphs is not None and captured else self._encoder
        pooled, tokens, profile = passes(batch, profile=want.profile)
        return EngineOutput(
            pooled=pooled.cpu().numpy(),
            profile=None if profile is None else profile.cpu().numpy(),
            tokens=tokens.cpu().numpy() if want.tokens else None,
        )


def load(checkpoint: Checkpoint, options: EngineOptions) -> TorchEngine:
    """Load the folded encoder on the GPU if there is one; raises EngineUnavailable for bf16 without one."""
    cuda = torch.cuda.is_available()
    if options.precision == "bf16" and not cuda:
        raise EngineUnavailable("engine torch: bf16 needs a CUDA device; choose openvino, or fp32")
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("high" if options.precision == "bf16" else "highest")
    attention = torch.bfloat16 if options.precision == "bf16" else torch.float32
    device = torch.device("cuda" if cuda else "cpu")
    return TorchEngine(FoldedEncoder(checkpoint, device, attention), options.precision)
