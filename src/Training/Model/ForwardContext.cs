using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>Where keys and values of earlier tokens are kept: <see cref="KvCache"/>, or nothing in training.</summary>
public interface IKeyValueStore
{
    /// <summary>Takes a layer's new keys and values, [B, K, T, H], and gives back all there are for these lines, [B, K, S, H], new ones included.</summary>
    (Tensor Keys, Tensor Values) Append(int layer, Tensor keys_BKTH, Tensor values_BKTH);
}

/// <summary>What every layer of one forward pass shares: rotary angles, the mask, and the store of keys and values.</summary>
/// <param name="Cos">[B or 1, T, 1, H].</param>
/// <param name="Sin">[B or 1, T, 1, H], signed (<see cref="RotaryEmbedding"/>).</param>
/// <param name="Mask">Added to the scores, [B or 1, 1, G*T, S]: 0 or minus infinity, the T rows once for each of the G query heads that share a key head. Null: all is seen.</param>
/// <param name="Store">Null in training.</param>
public sealed record ForwardContext(Tensor Cos, Tensor Sin, Tensor? Mask, IKeyValueStore? Store)
{
    /// <summary>An additive mask from what is allowed, [B or 1, T, S] bool; every row must allow something, or it would make NaN.</summary>
    public static Tensor MaskFrom(Tensor allowed_BTS, int group)
    {
        long lines = allowed_BTS.shape[0], length = allowed_BTS.shape[1], all = allowed_BTS.shape[2];
        var mask = zeros([lines, 1, length, all], device: allowed_BTS.device).masked_fill_(allowed_BTS.logical_not().unsqueeze(1), float.NegativeInfinity);
        return Tile(mask, group);
    }

    /// <summary>Plain causality, [1, 1, G*T, T].</summary>
    public static Tensor? Causal(long length, int group, Device device) =>
        length == 1 ? null : Tile(full([1, 1, length, length], float.NegativeInfinity, device: device).triu_(1), group);

    private static Tensor Tile(Tensor mask_B1TS, int group)
    {
        if (group == 1 || mask_B1TS.shape[2] == 1) return mask_B1TS;
        var shape = mask_B1TS.shape;
        return mask_B1TS.unsqueeze(2).expand(shape[0], 1, group, shape[2], shape[3]).reshape(shape[0], 1, group * shape[2], shape[3]);
    }
}
