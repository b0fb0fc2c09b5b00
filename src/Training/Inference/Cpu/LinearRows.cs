using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Gradus.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Inference.Cpu;

/// <summary>
/// One linear map of the model on rows of tokens. In fp32 it computes on the trainer's weights in place; in bf16 on a packed copy of them, which
/// <see cref="Refresh"/> makes anew after an update. Valid while the model lives and its tensors stay the same ones.
/// </summary>
internal sealed unsafe class LinearRows : IDisposable
{
    /// <summary>Multiplications of a part: a loop's iteration costs some hundred nanoseconds beside them.</summary>
    private const long PartSize = 1L << 17;

    private readonly float* rows;
    private readonly float* bias;
    private readonly ushort* packed;
    private readonly Linear map;
    private float* a, b;
    private float scale;

    public LinearRows(Linear map, bool bfloat16)
    {
        this.map = map;
        (Outputs, Inputs) = ((int)map.Weight.shape[0], (int)map.Weight.shape[1]);
        rows = Of(map.Weight);
        bias = map.Bias is { } vector ? Of(vector) : null;
        if (bfloat16) packed = (ushort*)NativeMemory.AlignedAlloc((nuint)BFloat16Kernels.PackedBytes(Outputs, Inputs), 64);
    }

    public int Outputs { get; }

    public int Inputs { get; }

    /// <summary>Rank of the adapter that lies on the map; 0 without one.</summary>
    public int Rank { get; private set; }

    /// <summary>Where a tensor's numbers lie. Of a matrix the first row is taken: a span of the whole cannot reach beyond 2 GiB.</summary>
    public static float* Of(Tensor weight)
    {
        using var scope = NewDisposeScope();
        return (float*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(weight.dim() > 1 ? weight.narrow(0, 0, 1).bytes : weight.bytes));
    }

    /// <summary>Parts that the outputs are cut into, so that each is some microseconds of work.</summary>
    public int Parts(int tokens) => (int)Math.Clamp((long)Outputs * Inputs * tokens / PartSize, 1, Math.Max(1, BFloat16Kernels.Blocks(Outputs) / 3));

    /// <summary>The outputs of a part; it begins at a whole block.</summary>
    public (int First, int End) Part(int part, int parts)
    {
        var blocks = BFloat16Kernels.Blocks(Outputs);
        return ((int)((long)blocks * part / parts) * BFloat16Kernels.Block, Math.Min(Outputs, (int)((long)blocks * (part + 1) / parts) * BFloat16Kernels.Block));
    }

    /// <summary>What the adapter makes of x before its second product, scale * Ax, to be given to <see cref="Multiply"/>; in fp32, as it is trained.</summary>
    public void Lower(RowBuffer x, RowBuffer low, int tokens)
    {
        RowProduct.Multiply(x.Values, x.Across, a, Inputs, low.Values, low.Across, tokens, 0, Rank, add: false);
        for (var token = 0; token < tokens; token++) RowMath.Scale(low.Row(token), scale, Rank);
    }

    /// <summary>y = or += the map of <paramref name="tokens"/> rows of x, for the outputs <paramref name="share"/>.</summary>
    /// <param name="low">From <see cref="Lower"/>; not looked at without an adapter.</param>
    public void Multiply(RowBuffer x, RowBuffer low, float* y, long stride, int tokens, (int First, int End) share, bool add = false)
    {
        if (packed is not null) BFloat16Kernels.Multiply(packed, x.Rounded, x.Across, Inputs, y, stride, tokens, Outputs, share.First / BFloat16Kernels.Block, BFloat16Kernels.Blocks(share.End), add ? 1 : 0);
        else RowProduct.Multiply(x.Values, x.Across, rows, Inputs, y, stride, tokens, share.First, share.End, add);
        if (Rank > 0) RowProduct.Multiply(low.Values, low.Across, b, Rank, y, stride, tokens, share.First, share.End, add: true);
        if (bias is null) return;
        for (var token = 0; token < tokens; token++) RowMath.Add(y + (token * stride) + share.First, bias + share.First, share.End - share.First);
    }

    /// <summary>Takes over what the trainer changed, and the adapter that lies on the map now.</summary>
    /// <returns>Bytes of the bf16 copy; 0 without one.</returns>
    public long Refresh(ComputeTeam team)
    {
        Rank = map.Adapter?.Rank ?? 0;
        if (map.Adapter is { } adapter)
        {
            a = Of(adapter.A);
            b = Of(adapter.B);
            scale = (float)adapter.Scale;
        }
        if (packed is null) return 0;
        var parts = Parts(8);
        team.For(parts, (part, _) =>
        {
            var (first, end) = Part(part, parts);
            BFloat16Kernels.Pack(rows, packed, Outputs, Inputs, first / BFloat16Kernels.Block, BFloat16Kernels.Blocks(end));
        });
        return BFloat16Kernels.PackedBytes(Outputs, Inputs);
    }

    public void Dispose() => NativeMemory.AlignedFree(packed);
}
