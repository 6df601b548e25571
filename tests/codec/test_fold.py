"""One convolution of the codes' values in place of the decoder's first three linear maps: the same
numbers.
"""

from __future__ import annotations

import pytest
import torch
from tiny import NEUCODEC, XCODEC2, random_model

from xcodec2.codec.inference.fold import embed_codes
from xcodec2.codec.inference.passes import decode_rows


@pytest.fixture(scope="module", params=[XCODEC2, NEUCODEC], ids=["xcodec2", "neucodec"])
def model(request):
    model = random_model(request.param)
    with torch.no_grad():  # biases that matter: the convolution must not see them in its padding
        for bias in (model.quantizer.project_out.bias, model.acoustic_decoder.fc.bias):
            bias.normal_(generator=torch.Generator().manual_seed(len(bias)))
    return model


def rows(model, *size: int) -> torch.Tensor:
    return torch.randint(
        model.config.codebook_size, size, generator=torch.Generator().manual_seed(0)
    )


def one_by_one(model, codes):
    decoder = model.acoustic_decoder
    return decoder.embed(decoder.fc(model.quantizer.vectors(codes)).transpose(1, 2))


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 40])
@torch.no_grad()
def test_the_layers_one_by_one_give_the_same(model, frames):
    codes = rows(model, 2, frames)
    torch.testing.assert_close(
        embed_codes(model.quantizer, model.acoustic_decoder, codes, None),
        one_by_one(model, codes),
        rtol=1e-5,
        atol=1e-5,
    )


@torch.no_grad()
def test_behind_an_end_nothing_is_seen(model):
    codes, lengths = rows(model, 3, 12), torch.tensor([12, 5, 1])
    together = embed_codes(model.quantizer, model.acoustic_decoder, codes, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = one_by_one(model, codes[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1, :, :length], alone, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_decoding_goes_this_way_and_gives_what_the_whole_decoder_does(model, monkeypatch):
    codes = rows(model, 1, 30)
    whole = model.decode_vectors(model.quantizer.vectors(codes)).waveform
    monkeypatch.setattr(model.acoustic_decoder.fc, "forward", None)  # never called
    error = (decode_rows(model, codes) - whole).abs().max() / whole.abs().max()
    assert error < 1e-5


@torch.no_grad()
def test_low_precision_is_met_in_float32_and_left_in_its_own_type(model):
    codes = rows(model, 1, 20)
    exact = one_by_one(model, codes)
    low = random_model(model.config).to(torch.bfloat16)
    low.load_state_dict(model.state_dict())
    x = embed_codes(low.quantizer, low.acoustic_decoder, codes, None)
    assert x.dtype == torch.bfloat16
    assert (x - exact).abs().max() < 0.02 * exact.abs().max()
