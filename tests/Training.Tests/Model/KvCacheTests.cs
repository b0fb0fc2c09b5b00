using Gradus.Training.Model;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

public sealed class KvCacheTests : IDisposable
{
    private static readonly int[] tokens = [4, 8, 15, 16, 23, 42, 7, 30, 11];

    private readonly CausalLm model = CausalLm.Create(Tiny.Config, 7);
    private readonly IDisposable noGradient = no_grad();
    private readonly DisposeScope scope = NewDisposeScope();

    [Fact]
    public void PiecesOfASequenceGiveWhatTheWholeGives()
    {
        using var cache = new KvCache(model.Config, 3, 16);
        Append(cache, [2], [tokens[..4]]);
        Append(cache, [2], [tokens[4..7]]);
        Append(cache, [2], [tokens[7..8]]);
        Assert.Equal(8, cache.Length(2));
        Close.Elements(Whole(tokens), Append(cache, [2], [tokens[8..]])[0], "hidden", 1e-5);
    }

    [Fact]
    public void SlotsOfUnequalLengthInAnyOrderDoNotTouchEachOther()
    {
        using var cache = new KvCache(model.Config, 3, 16);
        Append(cache, [2, 0], [tokens[..7], tokens[..3]]);
        var states = Append(cache, [0, 2], [tokens[3..5], tokens[7..8]]);
        Close.Elements(Whole(tokens[..5]), states[0], "slot 0", 1e-5);
        Close.Elements(Whole(tokens[..8]), states[1], "slot 2", 1e-5);
        Assert.Equal((5, 0, 8), (cache.Length(0), cache.Length(1), cache.Length(2)));
    }

    [Fact]
    public void ACopiedPrefixIsASequenceOfItsOwn()
    {
        using var cache = new KvCache(model.Config, 2, 16);
        Append(cache, [0], [tokens[..6]]);
        cache.Copy(0, 1, 4);
        var states = Append(cache, [0, 1], [[49], [23]]);
        Close.Elements(Whole([.. tokens[..6], 49]), states[0], "slot 0", 1e-5);
        Close.Elements(Whole([.. tokens[..4], 23]), states[1], "slot 1", 1e-5);
    }

    [Fact]
    public void AReusedSlotForgets()
    {
        using var cache = new KvCache(model.Config, 1, 9);
        Append(cache, [0], [tokens]);
        cache.SetLength(0, 0);
        Close.Elements(Whole(tokens[5..]), Append(cache, [0], [tokens[5..]])[0], "hidden", 1e-5);
    }

    [Fact]
    public void MoreThanTheCapacityIsRefusedAndChangesNothing()
    {
        using var cache = new KvCache(model.Config, 1, 8);
        Append(cache, [0], [tokens[..8]]);
        Assert.Throws<ArgumentException>(() => cache.Begin([0], [1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => cache.SetLength(0, 9));
        Assert.Equal(8, cache.Length(0));
    }

    [Fact]
    public void AnotherSizeKeepsWhatItHasAPlaceFor()
    {
        using var cache = new KvCache(model.Config, 2, 16);
        Append(cache, [0, 1], [tokens[..6], tokens[..9]]);
        cache.Resize(3, 12);
        cache.Resize(1, 8);
        Assert.Equal((1, 8, 6), (cache.Slots, cache.Capacity, cache.Length(0)));
        Assert.Equal(2L * model.Config.Layers * model.Config.KeyValueHeads * model.Config.HeadDim * sizeof(float), KvCache.BytesOfPosition(model.Config));
        Assert.True(Append(cache, [0], [tokens[6..8]])[0].allclose(Whole(tokens[..8]), atol: 1e-5));
    }

    [Fact]
    public void KeysAndValuesMayDifferInWidth()
    {
        using var cache = new KvCache([new CacheLayer(2, 6, 4), new CacheLayer(1, 8, 8)], 2, 5);
        var append = cache.Begin([1], [3]);
        var (keys, values) = append.Append(0, ones(1, 2, 3, 6), ones(1, 2, 3, 4));
        Assert.Equal([1, 2, 3, 6], keys.shape);
        Assert.Equal([1, 2, 3, 4], values.shape);
        (keys, _) = append.Append(1, ones(1, 1, 3, 8), ones(1, 1, 3, 8));
        Assert.Equal([1, 1, 3, 8], keys.shape);
    }

    public void Dispose()
    {
        scope.Dispose();
        noGradient.Dispose();
        model.Dispose();
    }

    /// <summary>The state of the last token of each line.</summary>
    private Tensor[] Append(KvCache cache, int[] slots, int[][] fresh)
    {
        var counts = fresh.Select(row => row.Length).ToArray();
        var width = counts.Max();
        var ids = tensor(fresh.SelectMany(row => row.Concat(new int[width - row.Length])).Select(id => (long)id).ToArray(), [slots.Length, width]);
        var hidden = model.Hidden(ids, cache.Begin(slots, counts));
        return [.. counts.Select((count, line) => hidden[line, count - 1])];
    }

    private Tensor Whole(int[] row)
    {
        using var batch = TokenBatch.Create([new TokenRow(row, row.Length)]);
        return model.Hidden(batch)[0, row.Length - 1];
    }
}
