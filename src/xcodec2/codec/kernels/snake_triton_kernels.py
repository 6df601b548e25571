"""The kernels of snake_triton.py; a program makes `block` values of one item, whose channels lie
side by side.

f is the filter; u the doubled rate, of which even[n] = u[2n] and odd[n] = u[2n + 1] lie in separate
planes.
"""

import triton
import triton.language as tl


@triton.jit
def rise(x, doubled, alpha, beta, taps, lengths, channels, values, plane, block: tl.constexpr):
    """even, odd = x + sin²(αx)/β of 2·Σ x[n + k - 3]·f[11 - 2k] and 2·Σ x[n + k - 2]·f[10 - 2k],
    ends held.
    """
    value = tl.program_id(0) * block + tl.arange(0, block)
    item = tl.program_id(1).to(tl.int64) * values
    n = value // channels
    channel = value % channels
    last = (tl.load(lengths + tl.program_id(1)) - 1).to(tl.int32)
    valid = n <= last
    even = tl.full((block,), 0.0, tl.float32)
    odd = tl.full((block,), 0.0, tl.float32)
    for k in tl.static_range(7):
        at = tl.minimum(tl.maximum(n + (k - 3), 0), last)
        near = tl.load(x + item + at * channels + channel, mask=valid, other=0.0).to(tl.float32)
        if k < 6:
            even += near * tl.load(taps + 11 - 2 * k)
        if k > 0:
            odd += near * tl.load(taps + 12 - 2 * k)
    a = tl.load(alpha + channel)
    b = tl.load(beta + channel)
    even *= 2.0
    odd *= 2.0
    even_sine = tl.sin(even * a)
    odd_sine = tl.sin(odd * a)
    tl.store(doubled + item + value, even + even_sine * even_sine / b, mask=valid)
    tl.store(doubled + plane + item + value, odd + odd_sine * odd_sine / b, mask=valid)


@triton.jit
def fall(doubled, out, taps, lengths, channels, values, plane, block: tl.constexpr):
    """out[n] = Σ odd[n + k - 3]·f[2k] + even[n + k - 2]·f[2k + 1]; before u stands u[0], behind it
    its last, odd.
    """
    value = tl.program_id(0) * block + tl.arange(0, block)
    item = tl.program_id(1).to(tl.int64) * values
    n = value // channels
    channel = value % channels
    last = (tl.load(lengths + tl.program_id(1)) - 1).to(tl.int32)
    valid = n <= last
    even = doubled + item + channel
    odd = even + plane
    total = tl.full((block,), 0.0, tl.float32)
    for k in tl.static_range(6):
        at = n + (k - 3)
        source = tl.where(at < 0, even, odd + tl.minimum(at, last) * channels)
        total += tl.load(source, mask=valid, other=0.0) * tl.load(taps + 2 * k)
        at = n + (k - 2)
        source = tl.where(at > last, odd + last * channels, even + tl.maximum(at, 0) * channels)
        total += tl.load(source, mask=valid, other=0.0) * tl.load(taps + 2 * k + 1)
    tl.store(out + item + value, total.to(out.dtype.element_ty), mask=value < values)
