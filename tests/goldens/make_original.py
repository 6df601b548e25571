"""Make golden files by running the original codec packages on real speech with random weights.

Run it in an environment that holds the original (a separate one for each, outside the repository):

    pip install torch==2.13.0 transformers==4.48.3 einops einx safetensors av
    pip install --no-deps vector-quantize-pytorch==1.17.8 torchtune==0.5.0
    pip install --no-deps xcodec2==0.1.5  # the one environment
    pip install --no-deps neucodec==0.0.6 local_attention hyper_connections     # the other
    cd tests/goldens
    python make_original.py xcodec2 --speech CLIP... --out original_xcodec2.safetensors
    python make_original.py neucodec --speech CLIP... --out original_neucodec.safetensors
    # full size, 3.3 GB, to be kept outside git
    python make_original.py xcodec2 --speech CLIP --full FOLDER

The speech is Debian's `asterisk-core-sounds-it-g722` (Carlo Flora, CC-BY-3.0):
vm-marked-nonurgent.g722, conf-hasleft.g722 and one-moment-please.g722 for the stored goldens. The
first clip is cut to a multiple of 320 samples, the second to 319 more than a multiple, the others
are taken whole.

The original is built small, a checkpoint with the published file's key names is written, and the
package's own loading code reads it: for xcodec2 that is transformers 4.48, which still renames
`beta` to `bias` and `weight_g`/`weight_v` to `parametrizations.weight.original0/1`. Nothing may be
missing or unexpected.

Layout of a golden file (T frames): `weights/<key>`, `wav/<i>` int16 (N,), `latent/<i>` float32 (T,
8), the vector that enters the quantizer's first bound, `codes/<i>` int32 (T,), `recon/<i>` float32
(hop T,). Weights with two or more dimensions over 1 are stored as float8_e4m3fn, others as float16:
exact, for the original ran on the rounded values. The constant buffers (`filter`, `window`) are
float32. `.float()` on a tensor gives what the original used.
"""

import argparse
import functools
import importlib.machinery
import importlib.util
import json
import math
import sys
import tempfile
import types
from importlib import metadata
from pathlib import Path

import av
import numpy as np
import torch
import transformers  # before the stand-ins below, so that it sees that torchaudio is absent
from safetensors.torch import load_file, save_file
from torch import nn

HOP = 320
COMMON = (
    "torch",
    "transformers",
    "vector-quantize-pytorch",
    "torchtune",
    "einops",
    "einx",
    "numpy",
    "av",
)
ATTRIBUTION = (
    "Asterisk prompts in Italian by Carlo Flora (http://www.carloflora.com), CC-BY-3.0, cut"
)
TINY = {
    "semantic": {"hidden": 64, "layers": 17, "heads": 1, "intermediate": 32},
    "acoustic": {"ngf": 4, "hidden": 128},
    "decoder": {"hidden": 128, "depth": 2, "heads": 2},
}
FULL = {
    "semantic": {"hidden": 1024, "layers": 24, "heads": 16, "intermediate": 4096},
    "acoustic": {"ngf": 48, "hidden": 1024},
    "decoder": {"hidden": 1024, "depth": 12, "heads": 16},
}
LATENT_STD = 1.1
# With these no bounded latent lies nearer than 1e-3 to a rounding boundary: codes can be compared
# exactly.
SEEDS = {"xcodec2": 2, "neucodec": 1}


# Stand-ins for what cannot be had here: torchaudio (it does not load beside a CPU torch 2.13) and
# the hub.


def stub(name, **attributes):
    """Register an importable module of that name with the given attributes."""
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__path__ = []
    vars(module).update(attributes)
    sys.modules[name] = module
    return module


def rotary_class():
    """torchtune's own rotary class, from its file: the whole needs a torchao that torch 2.13 cannot
    load.
    """
    root = Path(importlib.util.find_spec("torchtune").origin).parent
    path = root / "modules" / "position_embeddings.py"
    spec = importlib.util.spec_from_file_location("torchtune_position_embeddings", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.RotaryPositionalEmbeddings


def install_stubs():
    """Make `import torchaudio` and `from torchtune.modules import RotaryPositionalEmbeddings`
    work.
    """
    rotary = rotary_class()
    stub(
        "torchaudio", transforms=stub("torchaudio.transforms")
    )  # imported, never called on tensor input
    stub("torchtune", modules=stub("torchtune.modules", RotaryPositionalEmbeddings=rotary))


def hub_stand_ins(sizes):
    """What `Wav2Vec2BertModel` and `AutoFeatureExtractor` return from the hub, built from
    configurations.
    """
    semantic = sizes["semantic"]
    config = transformers.Wav2Vec2BertConfig(
        hidden_size=semantic["hidden"],
        num_hidden_layers=semantic["layers"],
        num_attention_heads=semantic["heads"],
        intermediate_size=semantic["intermediate"],
        apply_spec_augment=False,
        output_hidden_states=True,
    )

    def model(_name, **_):
        return transformers.Wav2Vec2BertModel(config).eval()

    def extractor(_name):
        return transformers.SeamlessM4TFeatureExtractor(
            feature_size=80, num_mel_bins=80, sampling_rate=16000, stride=2, padding_value=1.0
        )

    return types.SimpleNamespace(from_pretrained=model), types.SimpleNamespace(
        from_pretrained=extractor
    )


# The originals at a given size. Both hard-code their sizes, so their module-level names are
# replaced.


def resize(module, sizes, encoder, width):
    """Patch the names from which the original builds itself; `width` is semantic + acoustic."""
    decoder = sizes["decoder"]
    module.Wav2Vec2BertModel, module.AutoFeatureExtractor = hub_stand_ins(sizes)
    acoustic = sizes["acoustic"]
    small = functools.partial(
        getattr(module, encoder), ngf=acoustic["ngf"], hidden_dim=acoustic["hidden"]
    )
    setattr(module, encoder, small)
    module.CodecDecoderVocos = functools.partial(
        module.CodecDecoderVocos,
        hidden_dim=decoder["hidden"],
        depth=decoder["depth"],
        heads=decoder["heads"],
        vq_dim=width,
    )


def replace_linears(model, sizes, width):
    """The two linears whose sizes stand in the original's constructor."""
    model.fc_prior = nn.Linear(width, width)
    model.fc_post_a = nn.Linear(width, sizes["decoder"]["hidden"])


def xcodec2_class(sizes):
    """XCodec2Model of that size."""
    from xcodec2 import modeling_xcodec2 as package

    width = sizes["semantic"]["hidden"] + sizes["acoustic"]["hidden"]
    resize(package, sizes, "CodecEncoder_Transformer", width)

    class Resized(package.XCodec2Model):
        def __init__(self, config):
            super().__init__(config)
            replace_linears(self, sizes, width)

    return Resized


def xcodec2_config(sizes):
    """The configuration that goes with the size; of these fields the original uses the first
    alone.
    """
    from xcodec2.configuration_bigcodec import BigCodecConfig

    return BigCodecConfig(
        semantic_hidden_size=sizes["semantic"]["hidden"],
        codec_encoder_hidden_size=sizes["acoustic"]["hidden"],
        codec_decoder_hidden_size=sizes["decoder"]["hidden"],
    )


def neucodec_class(sizes):
    """NeuCodec of that size."""
    from neucodec import model as package

    hidden = sizes["semantic"]["hidden"]
    width = hidden + sizes["acoustic"]["hidden"]
    resize(package, sizes, "CodecEncoder", width)
    adapter = package.SemanticEncoder
    package.SemanticEncoder = lambda *_: adapter(hidden, hidden, hidden)

    class Resized(package.NeuCodec):
        def __init__(self, sample_rate, hop_length):
            super().__init__(sample_rate, hop_length)
            replace_linears(self, sizes, width)

    return Resized


# Random weights under the published names.


def published_name(name):
    """The published checkpoint's name of a parameter of the package."""
    name = name.replace(".act.bias", ".act.beta")
    name = name.replace(".parametrizations.weight.original0", ".weight_g")
    return name.replace(".parametrizations.weight.original1", ".weight_v")


def training_only(sizes):
    """Shapes of what NeuCodec's published file holds beyond the model: heads used in training
    alone.
    """
    hidden = sizes["semantic"]["hidden"]
    width = hidden + sizes["acoustic"]["hidden"]
    shapes = {"fc_post_s.weight": (hidden, width), "fc_post_s.bias": (hidden,)}
    for conv in ("initial_conv", "residual_blocks.1", "residual_blocks.3", "final_conv"):
        shapes[f"SemanticDecoder_module.{conv}.weight"] = (hidden, hidden, 3)
        if conv.startswith("residual"):
            shapes[f"SemanticDecoder_module.{conv}.bias"] = (hidden,)
    return shapes


def is_buffer(name):
    """Whether the key names a constant: a filter of the activations or the window of the ISTFT."""
    return name.endswith((".filter", ".window"))


def gain(name):
    """How much a weight amplifies, for activations near 1 everywhere; found by looking at them."""
    if name.endswith("conv_blocks.0.weight_g"):
        return 4.0
    if name.endswith((".block.4.weight_g", "conv_final_block.1.weight_g")):
        return 0.7
    if name.endswith((".block.3.weight_g", ".conv2.weight", "c_proj.weight", "fc2.weight")):
        return 0.5
    if name.endswith(("output_dense.weight", "linear_out.weight", "pointwise_conv2.weight")):
        return 0.7
    return 1.0


def spread(name, shape, generator):
    """A well-spread random value for the parameter of that name: none constant, nothing
    saturated.
    """
    uniform = functools.partial(torch.rand, shape, generator=generator)
    normal = functools.partial(torch.randn, shape, generator=generator)
    if name.endswith("act.alpha"):
        return uniform() * 1.4 - 0.7
    if name.endswith("act.beta"):
        return uniform() * 1.5 + 0.2
    if name.endswith("weight_g"):
        return gain(name) * (0.7 + 0.6 * uniform())
    if name.endswith("weight_v"):
        return 0.3 * normal()
    if name.endswith("distance_embedding.weight"):
        return normal()
    if name.endswith("norm.weight") or "norm1.weight" in name or "norm2.weight" in name:
        return 0.6 + 0.8 * uniform()
    if len(shape) < 2:
        return 0.1 * normal()
    return gain(name) * normal() / math.sqrt(math.prod(shape[1:]))


def spread_head(state):
    """Louder, wider output: log-magnitudes with a few past the clip at log(100), phases all
    round.
    """
    weight, bias = state["generator.head.out.weight"], state["generator.head.out.bias"]
    bins = weight.shape[0] // 2
    weight[:bins] *= 1.2
    weight[bins:] *= 1.5
    bias[:bins] += 0.5
    bias[bins:] *= 15.0


def stored_dtype(name, value):
    """The narrow type in which a golden file holds a weight."""
    if is_buffer(name):
        return torch.float32
    return torch.float8_e4m3fn if value.squeeze().dim() > 1 else torch.float16


def rounded(state):
    """The same weights, each exactly representable in its stored type."""
    return {k: v.to(stored_dtype(k, v)).float().contiguous() for k, v in state.items()}


def random_state(model, extra, seed):
    """A random checkpoint for the model, under the published names."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in model.state_dict().items():
        name = published_name(name)
        state[name] = value.clone() if is_buffer(name) else spread(name, value.shape, generator)
    for name, shape in extra.items():
        state[name] = spread(name, shape, generator)
    spread_head(state)
    return state


def calibrate(state, latents):
    """Scale the projection into the quantizer so that each latent has mean 0 and the wanted
    deviation.
    """
    latent = torch.cat(latents)
    scale = LATENT_STD / latent.std(0)
    state["generator.quantizer.project_in.weight"] *= scale[:, None]
    bias = state["generator.quantizer.project_in.bias"]
    bias.copy_((bias - latent.mean(0)) * scale)


# Loading through the packages' own code, and running.


def load_xcodec2(cls, sizes, state, folder):
    """Write a folder as published and read it with the package's `from_pretrained`."""
    config = xcodec2_config(sizes)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(published_config(config)))
    model, info = cls.from_pretrained(folder, config=config, output_loading_info=True)
    problems = {k: v for k, v in info.items() if v}
    if problems:
        raise RuntimeError(f"the original did not load its checkpoint completely: {problems}")
    return model.eval()


def published_config(config):
    """The four fields of the published config.json."""
    names = (
        "semantic_hidden_size",
        "codec_encoder_hidden_size",
        "codec_decoder_hidden_size",
        "use_vocos",
    )
    return {"model_type": "xcodec2"} | {name: getattr(config, name) for name in names}


def load_neucodec(cls, _sizes, state, folder):
    """Write pytorch_model.bin and read it with the package's `_from_pretrained`, the folder as its
    hub.
    """
    from neucodec import model as package

    torch.save(state, folder / "pytorch_model.bin")
    package.hf_hub_download = lambda repo_id, filename, **_: folder / filename
    model = cls._from_pretrained(model_id="neuphonic/neucodec")
    kept = {k for k in state if "fc_post_s" not in k and "SemanticDecoder" not in k}
    if kept != set(model.state_dict()):
        raise RuntimeError(f"names differ: {sorted(kept ^ set(model.state_dict()))}")
    return model.eval()


def check_loaded(model, state):
    """Every value of the checkpoint must stand in the model, SnakeBeta's beta above all."""
    for name, value in model.state_dict().items():
        if not torch.equal(value, state[published_name(name)]):
            raise RuntimeError(f"{name} was not loaded")


@torch.no_grad()
def encode(model, wav):
    """Codes (T,) and the latent (T, 8) for int16 samples; both originals take fp32 in [-1, 1)."""
    caught = []
    project = model.generator.quantizer.project_in
    hook = project.register_forward_hook(
        lambda _module, _input, output: caught.append(output[0].clone())
    )
    signal = torch.from_numpy(wav).float()[None] / 32768
    codes = model.encode_code(signal if hasattr(model, "config") else signal[None])
    hook.remove()
    return codes[0, 0], caught[0]


@torch.no_grad()
def decode(model, codes):
    """Samples (hop T,) of codes (T,)."""
    return model.decode_code(codes[None, None])[0, 0]


def margin(latent):
    """The least distance of any latent, bounded twice, from a rounding boundary."""
    half = 1.5 * 1.001
    shift = math.atanh(0.5 / half)

    def bound(x):
        return torch.tanh(x + shift) * half - 0.5

    value = bound(bound(latent.double()))
    return (0.5 - (value - value.round()).abs()).min().item()


def describe(codes, latent, recon):
    """One line on how well-spread the outputs are."""
    levels = codes[:, None] // 4 ** torch.arange(8) % 4
    counts = torch.stack([(levels == level).sum(0) for level in range(4)])
    return (
        f"T={len(codes)} distinct={len(codes.unique())} least level count={counts.min().item()} "
        f"latent std={latent.std(0).min():.2f}..{latent.std(0).max():.2f} "
        f"margin={margin(latent):.1e} "
        f"recon rms={recon.square().mean().sqrt():.3f} peak={recon.abs().max():.2f}"
    )


# Speech and files.


def read_speech(path):
    """16 kHz int16 samples (N,) of a G.722 file."""
    with av.open(str(path), format="g722") as container:
        return np.concatenate(
            [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
        )


def cut_clips(paths):
    """The first clip's length a multiple of 320, the second's 319 more than one, the others' as
    they are.
    """
    clips = [read_speech(path) for path in paths]
    for index, remainder in ((0, 0), (1, HOP - 1)):
        if index < len(clips):
            size = (len(clips[index]) - remainder) // HOP * HOP + remainder
            clips[index] = clips[index][:size]
    return clips


def notes(args, sizes):
    """What a reader of the file should know, as safetensors metadata."""
    command = ["python", "make_original.py", args.original, "--seed", str(args.seed)]
    command += ["--out", args.out.name] if args.out else ["--full", args.full.name]
    command.append("--speech")
    names = (args.original, *COMMON)
    return {
        "command": " ".join([*command, *(path.name for path in args.speech)]),
        "sizes": json.dumps(sizes),
        "versions": json.dumps({name: metadata.version(name) for name in names}),
        "speech": ATTRIBUTION,
    }


def build(args, sizes, folder, clips):
    """The original, its random checkpoint calibrated on the clips and loaded by its own code."""
    is_xcodec2 = args.original == "xcodec2"
    cls = (xcodec2_class if is_xcodec2 else neucodec_class)(sizes)
    model = cls(xcodec2_config(sizes)) if is_xcodec2 else cls(24000, 480)
    state = random_state(model, {} if is_xcodec2 else training_only(sizes), args.seed)
    state = state if args.full else rounded(state)
    load = functools.partial(load_xcodec2 if is_xcodec2 else load_neucodec, cls, sizes)
    del model
    model = load(state, folder)
    calibrate(state, [encode(model, clip)[1] for clip in clips])
    state = state if args.full else rounded(state)
    del model
    model = load(state, folder)
    check_loaded(model, state)
    return model, state


def run(model, clips):
    """Every clip through the original, as tensors of the golden file."""
    tensors = {}
    for i, wav in enumerate(clips):
        codes, latent = encode(model, wav)
        recon = decode(model, codes)
        print(f"clip {i}: N={len(wav)} N%320={len(wav) % HOP} {describe(codes, latent, recon)}")
        tensors |= {f"wav/{i}": torch.from_numpy(wav), f"codes/{i}": codes}
        tensors |= {f"latent/{i}": latent, f"recon/{i}": recon}
    return {name: value.contiguous() for name, value in tensors.items()}


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("original", choices=sorted(SEEDS))
    parser.add_argument(
        "--speech", nargs="+", type=Path, required=True, metavar="CLIP", help="G.722 files"
    )
    parser.add_argument(
        "--seed", type=int, help="of the weights; the default gives the stored goldens"
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="golden file to write, small sizes")
    where.add_argument("--full", type=Path, metavar="FOLDER", help="write the full size there")
    args = parser.parse_args()
    args.seed = SEEDS[args.original] if args.seed is None else args.seed
    torch.set_num_threads(1)
    install_stubs()
    clips = cut_clips(args.speech)
    if args.full:
        args.full.mkdir(parents=True, exist_ok=True)
        model, _ = build(args, FULL, args.full, clips)
        save_file(run(model, clips), args.full / "outputs.safetensors", notes(args, FULL))
        return
    with tempfile.TemporaryDirectory() as folder:
        model, state = build(args, TINY, Path(folder), clips)
    weights = {f"weights/{k}": v.to(stored_dtype(k, v)) for k, v in state.items()}
    save_file(weights | run(model, clips), args.out, notes(args, TINY))
    reread = load_file(args.out)
    if not all(torch.equal(reread[f"weights/{k}"].float(), v) for k, v in state.items()):
        raise RuntimeError("the stored weights are not those that ran")


if __name__ == "__main__":
    main()
