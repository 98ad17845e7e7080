# SPDX-License-Identifier: LGPL-2.1-or-later
#
# PyTorch on a GPU, with the same networks as bench-device and bench-train:
# torchvision's swin_v2_t and swin_v2_b, and decoders of the same layers and
# widths as ours. Prints the same lines of JSON.
#
#   peers-gpu.py --what encoder|train|ceiling [--arch tiny|base]
#     [--batches 1,8,32,128] [--ways eager,compile,cudagraphs] [--decoders]
#     [--passes 50] [--device cuda] [--size 256] [--quick]
#     [--warm-only | --serve]
#
#   encoder  inference of model.to(bfloat16), the four maps; milliseconds of
#            passes that are waited for one by one ("alone": median, fastest),
#            and the mean of a queue ("steady")
#   train    forward, backward, AdamW (fused), bf16 autocast, stochastic depth;
#            milliseconds of each step
#   ceiling  TFLOP/s of a bf16 matrix product of 8192^3, GB/s of a copy
#
# Ways: eager; compile: torch.compile with fixed shapes; cudagraphs: the same in
# the mode "reduce-overhead". Compilation takes minutes: --warm-only compiles,
# runs once and ends, which fills the cache (TORCHINDUCTOR_CACHE_DIR) for later
# runs. --serve gets everything ready, says so, sleeps, and measures what each
# line of standard input asks for: a batch size (0: the ceiling).
#
# Fair to PyTorch: channels_last decoders (the encoder's maps come so), cuDNN
# picks by timing, TF32 allowed, what torchvision logs is no graph break.
import argparse
import json
import os
import resource
import sys
import time
import warnings

warnings.filterwarnings("ignore")
os.environ.setdefault("TORCHINDUCTOR_FX_GRAPH_CACHE", "1")
os.environ.setdefault("TORCHINDUCTOR_AUTOGRAD_CACHE", "1")

import torch
import torchvision
from torch import nn
from torch.nn import functional as F

ARCHITECTURES = {"tiny": "swin_v2_t", "small": "swin_v2_s", "base": "swin_v2_b"}
# the description's defaults: channels of the pixel embedding, the most of a
# block, and of pyramid and towers
PIXEL_CHANNELS, PIXEL_HIDDEN, DETECTION_CHANNELS = 16, 96, 128
CEILING_EDGE, COPY_BYTES = 8192, 1 << 32


class Encoder(nn.Module):
    """Images [N, 3, H, W] to four maps [N, h, w, C]."""

    def __init__(self, arch):
        super().__init__()
        make = getattr(torchvision.models, ARCHITECTURES[arch])
        self.features = make(weights=None).features

    def forward(self, x):
        maps = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i % 2 == 1:
                maps.append(x)
        return maps


class Layer(nn.Sequential):
    """Convolution 3x3, group norm, activation."""

    def __init__(self, inputs, channels, groups, act, bias=True):
        super().__init__(nn.Conv2d(inputs, channels, 3, padding=1, bias=bias),
                         nn.GroupNorm(groups, channels), act())


class PixelDecoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        inputs, blocks = 8 * width, []
        for i, skip in enumerate((4 * width, 2 * width, width, 0)):
            channels = min(PIXEL_CHANNELS << (3 - i), PIXEL_HIDDEN)
            blocks.append(nn.Sequential(
                Layer(inputs + skip, channels, 1, nn.ReLU, bias=False),
                Layer(channels, channels, 1, nn.ReLU, bias=False)))
            inputs = channels
        self.blocks = nn.ModuleList(blocks)
        self.final = Layer(inputs, PIXEL_CHANNELS, 1, nn.GELU)

    def forward(self, maps, dense):
        x = dense
        for block, skip in zip(self.blocks, (maps[2], maps[1], maps[0], None)):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(x if skip is None else torch.cat([x, skip], 1))
        return self.final(x)


class DetectionDecoder(nn.Module):
    def __init__(self, width, channels=DETECTION_CHANNELS):
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(n * width, channels, 1)
                                      for n in (2, 4, 8))
        self.outputs = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, 1 if i < 3 else 2, 1)
            for i in range(5))
        self.towers = nn.ModuleList(nn.Sequential(*[
            Layer(channels, channels, 32, nn.GELU) for _ in range(4)])
            for _ in range(2))

    def forward(self, maps, dense):
        x = [lateral(m) for lateral, m in
             zip(self.laterals, (maps[1], maps[2], dense))]
        for i in (1, 0):
            x[i] = x[i] + F.interpolate(x[i + 1], scale_factor=2.0,
                                        mode="nearest")
        levels = [conv(m) for conv, m in zip(self.outputs, x)]
        levels.append(self.outputs[3](levels[-1]))
        levels.append(self.outputs[4](F.relu(levels[-1])))
        return [tower(m) for m in levels for tower in self.towers]


class Trained(nn.Module):
    """From images to the loss of bench-train."""

    def __init__(self, arch, decoders):
        super().__init__()
        self.encoder = Encoder(arch)
        self.decoders = decoders
        if decoders:
            width = self.encoder.features[0][0].out_channels
            self.norm = nn.GroupNorm(1, 8 * width)  # the squeezer
            self.pixels = PixelDecoder(width).to(
                memory_format=torch.channels_last)
            self.detection = DetectionDecoder(width).to(
                memory_format=torch.channels_last)

    def forward(self, images):
        maps = [m.permute(0, 3, 1, 2) for m in self.encoder(images)]
        if not self.decoders:
            return maps[3].float().mean((2, 3)).square().mean()
        dense = F.gelu(self.norm(maps[3]))
        outputs = [self.pixels(maps, dense)] + self.detection(maps, dense)
        return sum(x.float().square().mean() for x in outputs)


def no_logging():
    """torchvision tells PyTorch what is used; the compiler may not follow."""
    for name, module in list(sys.modules.items()):
        if name.startswith("torchvision.") and \
                hasattr(module, "_log_api_usage_once"):
            module._log_api_usage_once = lambda *_: None


def compiled(function, way):
    if way == "eager":
        return function
    # each configuration is compiled for itself: not to give up after some
    torch._dynamo.config.cache_size_limit = 64
    mode = "reduce-overhead" if way == "cudagraphs" else "default"
    return torch.compile(function, mode=mode, dynamic=False)


def graph_breaks():
    """How many; they would make compiled code look slow."""
    try:
        from torch._dynamo.utils import counters
    except ImportError:
        return 0
    return sum(counters["graph_break"].values())


def encoder_runner(args, way, batch):
    model = Encoder(args.arch).eval().to(args.device, torch.bfloat16)
    images = torch.rand(batch, 3, args.size, args.size, device=args.device,
                        dtype=torch.bfloat16)
    forward = compiled(model, way)

    def run():
        with torch.inference_mode():
            forward(images)
    return run


def train_runner(args, way, batch):
    model = Trained(args.arch, args.decoders).train().to(args.device)
    fused = {"fused": True} if args.device == "cuda" else {}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4,
                                  weight_decay=0.05, **fused)
    images = torch.rand(batch, 3, args.size, args.size, device=args.device)
    forward = compiled(model, way)

    def run():
        with torch.autocast(args.device, dtype=torch.bfloat16):
            loss = forward(images)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return run


def synchronize(args):
    if args.device == "cuda":
        torch.cuda.synchronize()


def elapsed(args, run, n=1):
    """Milliseconds of a queue of n."""
    synchronize(args)
    begin = time.perf_counter()
    for _ in range(n):
        run()
    synchronize(args)
    return (time.perf_counter() - begin) * 1000


def median(values):
    return sorted(values)[len(values) // 2]


def peak(args):
    found = {"peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    if args.device == "cuda":
        found["device_mb"] = torch.cuda.max_memory_allocated() >> 20
        torch.cuda.reset_peak_memory_stats()
        # for the others on this card
        torch.cuda.empty_cache()
    return found


def measure(args, run):
    for _ in range(args.warm_up):
        elapsed(args, run)
    times = [elapsed(args, run) for _ in range(args.passes)]
    if args.what == "train":
        return {"times_ms": times, "median_ms": median(times)}
    return {"alone_ms": median(times), "fastest_ms": min(times),
            "steady_ms": elapsed(args, run, args.passes) / args.passes}


def ceiling(args):
    """The mean of ten after three for warming, the median of five rounds."""
    edge = 512 if args.quick else CEILING_EDGE
    size = 1 << 20 if args.quick else COPY_BYTES
    a, b, c = (torch.randn(edge, edge, device=args.device,
                           dtype=torch.bfloat16) for _ in range(3))
    source = torch.randint(255, (size,), device=args.device, dtype=torch.uint8)
    target = torch.empty_like(source)

    def rate(run, work):
        elapsed(args, run, 3)
        return work / median([elapsed(args, run, 10) / 10e3 for _ in range(5)])
    found = {
        "tflops": rate(lambda: torch.mm(a, b, out=c), 2 * edge ** 3 / 1e12),
        "copy_gb_s": rate(lambda: target.copy_(source), 2 * size / 1e9)}
    del a, b, c, source, target
    peak(args)
    return found


def versions(args):
    found = {"device": "cpu", "torch": torch.__version__,
             "torchvision": torchvision.__version__}
    if args.device == "cuda":
        found["device"] = torch.cuda.get_device_name()
        found["cudnn"] = torch.backends.cudnn.version()
    return found


def answer(args, runners, batch):
    """A line for each way."""
    if batch == 0:
        return print(json.dumps({**ceiling(args), **versions(args)}),
                     flush=True)
    for (way, n), run in runners.items():
        if n == batch:
            print(json.dumps({
                "arch": args.arch, "precision": "bf16", "way": way, "batch": n,
                **({"decoders": args.decoders} if args.what == "train" else {}),
                **measure(args, run), **peak(args),
                "graph_breaks": graph_breaks()}), flush=True)


def make_runners(args):
    """All of them, run once."""
    make = {"encoder": encoder_runner, "train": train_runner}[args.what]
    runners = {}
    for way in args.ways:
        for batch in args.batches:
            runners[way, batch] = make(args, way, batch)
            elapsed(args, runners[way, batch])
            peak(args)
    return runners


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--what", default="encoder",
                   choices=["encoder", "train", "ceiling"])
    p.add_argument("--arch", default="tiny", choices=list(ARCHITECTURES))
    p.add_argument("--batches", default="1,8,32,128")
    p.add_argument("--ways", default="eager,compile")
    p.add_argument("--decoders", action="store_true")
    p.add_argument("--passes", type=int, default=50)
    p.add_argument("--device", default="cuda")
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--quick", action="store_true", help="does it work?")
    p.add_argument("--warm-only", action="store_true")
    p.add_argument("--serve", action="store_true")
    args = p.parse_args()
    args.batches = [int(n) for n in args.batches.split(",")]
    args.ways = args.ways.split(",")
    args.warm_up = 5
    if args.quick:
        args.passes, args.size, args.warm_up = 2, 64, 1
    return args


def main():
    args = parse()
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    no_logging()
    runners = {} if args.what == "ceiling" else make_runners(args)
    if args.warm_only:
        return
    if args.serve:
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            answer(args, runners, int(line))
        return
    for batch in [0] if args.what == "ceiling" else args.batches:
        answer(args, runners, batch)


main()
