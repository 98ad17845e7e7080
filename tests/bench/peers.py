# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Other programs on the same network: torchvision's swin_v2_t and swin_v2_b
# (features and average pool, random weights) in PyTorch eager and in ONNX
# Runtime. Runs in the environment that setup-peers.sh makes. Input is a float
# tensor that is ready made, so resizing and normalising cost the peers nothing.
#
#   peers.py versions
#   peers.py export --arch swin_v2_t --batch 1 --onnx FILE
#   peers.py run PEER --arch A --batch N --threads N [--seconds S | --serve]
#       PEER: torch-f32, torch-bf16 (model.bfloat16()), torch-autocast,
#       torch-f32-compile, torch-bf16-compile, onnxruntime-f32 (needs --onnx)
#   peers.py train PEER --batch N [--steps S | --serve]
#       PEER: torch-f32, torch-autocast: forward, backward and AdamW in train
#       mode, as bench-train does it; milliseconds per step; --serve: lines
#       with numbers of steps
#   peers.py slide --slide SLIDE --grid FEATURES.h5 --precision f32|bf16
#       OpenSlide + PyTorch: the tiles of a features file, read, resized and
#       embedded, as a Python pipeline does it
#
# Fair to PyTorch: OpenMP with as many threads as asked for and the process
# pinned to as many processors; inference_mode(); the C library told not to
# give memory back between images, which costs PyTorch page faults otherwise.
# --serve: lines with seconds in, lines of JSON out (see bench-encoder.c).
import argparse
import json
import os
import resource
import sys
import time
import warnings

warnings.filterwarnings("ignore")


def restart_tuned(threads, passive=False):
    """The allocator and OpenMP read the environment when they start. Threads
    that spin are best alone; beside a reader they cost four times the time."""
    wanted = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads),
              "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
              "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
    if os.environ.get("UMEDPT_PEER_TUNED") == "1":
        return
    if passive:
        wanted["OMP_WAIT_POLICY"] = "passive"
    os.environ.update(wanted, UMEDPT_PEER_TUNED="1")
    os.execv(sys.executable, [sys.executable] + sys.argv)


def pin(threads):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def make_model(arch):
    import torch
    import torchvision
    torch.manual_seed(1)
    model = getattr(torchvision.models, arch)(weights=None).eval()
    model.head = torch.nn.Identity()
    return model


def export(arch, batch, path, size=256):
    """A file for one batch size: shapes that are known help ONNX Runtime."""
    import torch
    model = make_model(arch)
    x = torch.randn(batch, 3, size, size)
    try:
        program = torch.onnx.export(model, (x,), dynamo=True, verbose=False,
                                    input_names=["x"], output_names=["y"])
        program.save(path)
    except Exception as problem:  # no onnxscript, or an older torch
        print("peers.py: exporting the old way:", problem, file=sys.stderr)
        torch.onnx.export(model, (x,), path, opset_version=17, dynamo=False,
                          input_names=["x"], output_names=["y"])
    check_export(model, x, path)


def check_export(model, x, path):
    import numpy as np
    import onnxruntime
    import torch
    session = onnxruntime.InferenceSession(
        path, providers=["CPUExecutionProvider"])
    found = session.run(None, {"x": x.numpy()})[0]
    with torch.inference_mode():
        wanted = model(x).numpy()
    error = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    print("%s: relative error to PyTorch %.1e" % (path, error))
    if not error < 1e-4:
        sys.exit("peers.py: the exported model computes something else")


def torch_runner(peer, arch, batch, threads, size):
    import torch
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    model = make_model(arch)
    x = torch.randn(batch, 3, size, size)
    autocast = peer == "torch-autocast"
    if "bf16" in peer:
        model, x = model.bfloat16(), x.bfloat16()
    if peer.endswith("-compile"):
        torch._inductor.config.freezing = True
        model = torch.compile(model)

    def run():
        with torch.inference_mode(), \
                torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            return model(x)
    return run


def ort_runner(path, batch, threads, size):
    import numpy as np
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal(
        (batch, 3, size, size), dtype="f4")
    return lambda: session.run(None, {"x": x})


def train_runner(peer, arch, batch, threads, size):
    """One step. torchvision's stochastic depth is that of the paper (0.2)."""
    import torch
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    model = make_model(arch).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4,
                                  weight_decay=0.05)
    x = torch.rand(batch, 3, size, size)
    autocast = peer == "torch-autocast"

    def run():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = model(x).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return run


def make_runner(args):
    if args.peer.startswith("torch-"):
        return torch_runner(args.peer, args.arch, args.batch, args.threads,
                            args.size)
    return ort_runner(args.onnx, args.batch, args.threads, args.size)


def measure(run, batch, seconds):
    """Milliseconds per image, one number per call; at least three calls."""
    times, begin = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000 / batch)
    return times


def answer(times):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"peak_kb": peak, "times_ms": times}), flush=True)


def command_run(args):
    restart_tuned(args.threads)
    pin(args.threads)
    run = make_runner(args)
    measure(run, args.batch, 0)
    if not args.serve:
        return answer(measure(run, args.batch, args.seconds))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        answer(measure(run, args.batch, float(line)))


def measure_steps(run, n):
    times = []
    for _ in range(n):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000)
    return times


def command_train(args):
    restart_tuned(args.threads)
    pin(args.threads)
    run = train_runner(args.peer, args.arch, args.batch, args.threads,
                       args.size)
    measure_steps(run, 1)
    if not args.serve:
        begin = time.process_time()
        times = measure_steps(run, args.steps)
        print("%s, batch %d, %d threads: %.0f ms per step (fastest %.0f), "
              "%.0f ms of processors" % (
                  args.peer, args.batch, args.threads,
                  sorted(times)[len(times) // 2], min(times),
                  (time.process_time() - begin) * 1000 / args.steps),
              file=sys.stderr)
        return answer(times)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        answer(measure_steps(run, int(line)))


def read_grid(path):
    import h5py
    with h5py.File(path, "r") as file:
        coords = file["coords"]
        return (coords[:].tolist(), int(coords.attrs["patch_size"]),
                file.attrs["downsample"])


def command_slide(args):
    """One thread reads ahead while the other computes: with two cores, more
    readers only take time from the network."""
    restart_tuned(args.threads, passive=True)
    import queue
    import threading
    import numpy as np
    import openslide
    import torch
    from PIL import Image
    torch.set_num_threads(args.threads)
    coords, size, downsample = read_grid(args.grid)
    model = make_model(args.arch)
    dtype = torch.bfloat16 if args.precision == "bf16" else torch.float32
    model = model.to(dtype)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    batches = queue.Queue(4)

    def read():
        slide = openslide.OpenSlide(args.slide)
        level = slide.get_best_level_for_downsample(downsample * 1.001)
        edge = max(1, round(size * downsample / slide.level_downsamples[level]))
        tiles = []
        for x, y in coords:
            tile = slide.read_region((x, y), level, (edge, edge))
            white = Image.new("RGB", tile.size, (255, 255, 255))
            white.paste(tile, mask=tile.split()[3])
            if edge != size:
                white = white.resize((size, size), Image.BOX)
            tiles.append(np.asarray(white))
            if len(tiles) == args.batch:
                batches.put(np.stack(tiles))
                tiles = []
        if tiles:
            batches.put(np.stack(tiles))
        batches.put(None)

    with torch.inference_mode():
        model(torch.zeros(args.batch, 3, size, size, dtype=dtype))
        begin, features = time.perf_counter(), []
        threading.Thread(target=read, daemon=True).start()
        while (batch := batches.get()) is not None:
            x = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
            x = ((x - mean) / std).to(dtype)
            features.append(model(x).float().numpy())
        seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"tiles": len(coords), "seconds": seconds,
                      "peak_kb": peak}), flush=True)


def command_versions(args):
    import numpy
    import onnxruntime
    import torch
    import torchvision
    print(json.dumps({
        "python": sys.version.split()[0], "numpy": numpy.__version__,
        "torch": torch.__version__, "torchvision": torchvision.__version__,
        "torch_cpu": torch.backends.cpu.get_cpu_capability(),
        "onnxruntime": onnxruntime.__version__}))


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("versions")
    for name in ("export", "run", "train", "slide"):
        command = commands.add_parser(name)
        command.add_argument("--arch", default="swin_v2_t",
                             choices=["swin_v2_t", "swin_v2_s", "swin_v2_b"])
        command.add_argument("--batch", type=int, default=1)
        command.add_argument("--threads", type=int,
                             default=len(os.sched_getaffinity(0)))
        command.add_argument("--size", type=int, default=256)
        command.add_argument("--onnx")
        if name == "run":
            command.add_argument("peer")
            command.add_argument("--seconds", type=float, default=5)
            command.add_argument("--serve", action="store_true")
        if name == "train":
            command.add_argument("peer")
            command.add_argument("--steps", type=int, default=5)
            command.add_argument("--serve", action="store_true")
        if name == "slide":
            command.add_argument("--slide", required=True)
            command.add_argument("--grid", required=True)
            command.add_argument("--precision", default="f32")
    args = parser.parse_args()
    if args.command == "export":
        export(args.arch, args.batch, args.onnx, args.size)
    else:
        globals()["command_" + args.command](args)


main()
