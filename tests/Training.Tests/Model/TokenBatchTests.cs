using Gradus.Training.Model;
using Gradus.Training.Optimizer;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

public sealed class TokenBatchTests : IDisposable
{
    private readonly CausalLm model = CausalLm.Create(Tiny.Config, 7);
    private readonly DisposeScope scope = NewDisposeScope();

    [Fact]
    public void ABatchOfEightEqualsEightBatchesOfOne()
    {
        var rows = Tiny.Rows(8, 3, 30);
        using var together = TokenBatch.Create(rows);
        Close.Elements(Alone(rows), Score(together), "log-probabilities");
    }

    [Fact]
    public void PackingChangesNothing()
    {
        var rows = Tiny.Rows(8, 3, 30);
        using var packed = TokenBatch.Pack(rows, 64);
        Assert.True(packed.Ids_BT.shape[0] < rows.Count, "Nothing was packed.");
        Close.Elements(Alone(rows), Score(packed), "log-probabilities");
    }

    [Fact]
    public void LinesAreAsLongAsTheLongestRow()
    {
        using var batch = TokenBatch.Pack([Row(3), Row(9), Row(5), Row(4), Row(2)], 64);
        Assert.Equal([3, 9], batch.Ids_BT.shape);
        Assert.Equal(23, batch.TokenCount);
        // The longest alone; then five and four; then three and two, and padding, which is a row of its own.
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 0, 1, 2, 3, 0, 1, 2, 0, 1, 0, 1, 2, 3], batch.Positions_BT.data<long>().ToArray());
        using var narrow = TokenBatch.Pack([Row(3), Row(9), Row(5), Row(4), Row(2)], 5);
        Assert.Equal([4, 9], narrow.Ids_BT.shape);
    }

    [Fact]
    public void PackedRowsShareNoGradient()
    {
        TokenRow[] rows = [.. Tiny.Rows(1, 24, 25), .. Tiny.Rows(2, 10, 11, seed: 2)];
        using var batch = TokenBatch.Pack(rows, 64);
        Assert.Equal(2, batch.Ids_BT.shape[0]);
        var (logProbs, _) = LogProbs.Of(model, model.Hidden(batch), batch, 1);
        var last = rows[2].Tokens.Length - rows[2].FirstTarget;
        logProbs.narrow(0, logProbs.numel() - last, last).sum().backward();
        var packed = model.Parameters.ToDictionary(parameter => parameter.Key, parameter => parameter.Value.grad!.clone());
        Gradients.Clear(model.Parameters);
        using var alone = TokenBatch.Create([rows[2]]);
        LogProbs.Of(model, model.Hidden(alone), alone, 1).logProbs_N.sum().backward();
        foreach (var (name, weights) in model.Parameters) Close.Elements(weights.grad!, packed[name], name);
    }

    [Fact]
    public void ALineMayBeLongerThanTheModelHasPositions()
    {
        // No row is longer, and positions begin anew with each; a short line beside it is padded to its length.
        var most = model.Config.MaxPositions;
        TokenRow Row(int token) => new([3, 4, 5, .. Enumerable.Repeat(token, most - 3)], 3);
        IReadOnlyList<TokenRow>[] lines = [[Row(7), Row(8)], [new([9, 3, 4], 1), new([9, 5], 1)]];
        using var shared = TokenBatch.Share(lines);
        Assert.Equal([2, 3 + (2 * (most - 3))], shared.Ids_BT.shape);
        Close.Elements(Alone([.. lines.SelectMany(line => line)]), Score(shared), "log-probabilities");
    }

    [Fact]
    public void SharingABeginningChangesNothing()
    {
        IReadOnlyList<TokenRow>[] lines = [Begun([3, 4, 5], 6, 2, 9), Begun([7], 4), Begun([8, 9, 10, 11], 3, 3)];
        using var shared = TokenBatch.Share(lines);
        // Six, two and nine tokens behind three.
        Assert.Equal([3, 20], shared.Ids_BT.shape);
        TokenRow[] rows = [.. lines.SelectMany(line => line)];
        Close.Elements(Alone(rows), Score(shared), "log-probabilities");
        Assert.Equal(rows.SelectMany((row, place) => Enumerable.Repeat(place, row.Tokens.Length - row.FirstTarget)), shared.TargetRow);

        LogProbs.Of(model, model.Hidden(shared), shared).logProbs_N.sum().backward();
        var together = model.Parameters.ToDictionary(parameter => parameter.Key, parameter => parameter.Value.grad!.clone());
        Gradients.Clear(model.Parameters);
        using var alone = TokenBatch.Create(rows);
        LogProbs.Of(model, model.Hidden(alone), alone).logProbs_N.sum().backward();
        foreach (var (name, weights) in model.Parameters) Close.Elements(weights.grad!, together[name], name);
        Assert.Throws<ArgumentException>(() => TokenBatch.Share([[new([1, 2, 3], 2), new([1, 3, 3], 2)]]));

        static TokenRow[] Begun(int[] beginning, params int[] lengths) =>
            [.. lengths.Select((length, row) => new TokenRow([.. beginning, .. Enumerable.Range(12 + row, length)], beginning.Length))];
    }

    [Fact]
    public void TargetsKnowTheirPlaceAndRow()
    {
        using var batch = TokenBatch.Create([new([5, 6, 7], 1), new([8, 9, 10, 11, 12], 3)]);
        Assert.Equal([6, 7, 11, 12], batch.Targets_N.data<long>().ToArray());
        Assert.Equal([0, 1, 7, 8], batch.SourceIndex_N.data<long>().ToArray());
        Assert.Equal([0, 0, 1, 1], batch.TargetRow);
        Assert.Equal(8, batch.TokenCount);
        Assert.Null(batch.Allowed_BTT);
    }

    [Fact]
    public void TemperatureDividesTheLogits()
    {
        using var batch = TokenBatch.Create(Tiny.Rows(2, 5, 9));
        var hidden = model.Hidden(batch);
        var logits = model.Logits(hidden.view(-1, model.Config.HiddenSize).index_select(0, batch.SourceIndex_N)) / 0.5;
        var expected = logits.log_softmax(-1).gather(-1, batch.Targets_N.unsqueeze(-1)).squeeze(-1);
        Close.Elements(expected, LogProbs.Of(model, hidden, batch, 0.5).logProbs_N, "log-probabilities", 1e-5);
    }

    [Fact]
    public void SplitKeepsLikeLengthsTogetherWithinTheBudget()
    {
        Assert.Equal([[4], [0, 2], [3, 1, 5]], TokenBatch.Split([10, 3, 9, 4, 30, 3], 20));
        Assert.Equal([[0], [1], [2]], TokenBatch.Split([9, 9, 9], 5));
        Assert.Empty(TokenBatch.Split([], 5));
    }

    [Fact]
    public void SplitPaysForABatchOnlyWithPaddingSaved()
    {
        Assert.Equal([[0, 1, 2, 3]], TokenBatch.Split([20, 20, 10, 10], 1_000));
        Assert.Equal([[0, 1], [2, 3]], TokenBatch.Split([200, 200, 10, 10], 1_000));
    }

    [Fact]
    public void A_packed_line_s_mask_is_made_when_it_is_asked_for_and_goes_with_the_batch()
    {
        using var scope = NewDisposeScope();
        var before = Tensor.TotalCount;
        var batch = TokenBatch.Pack([new([1, 2, 3], 1), new([4, 5], 1), new([6, 7, 8, 9, 10], 1)], 5);
        var without = Tensor.TotalCount;
        using (NewDisposeScope()) Assert.Equal([2, 5, 5], batch.Allowed_BTT!.shape);
        Assert.Equal([2, 5, 5], batch.Allowed_BTT!.shape);
        Assert.Equal(without + 1, Tensor.TotalCount);
        batch.Dispose();
        Assert.Equal(before, Tensor.TotalCount);
    }

    [Fact]
    public void WrongRowsAreRefused()
    {
        Assert.Throws<ArgumentException>(() => TokenBatch.Create([]));
        Assert.Throws<ArgumentException>(() => TokenBatch.Create([new([], 1)]));
        Assert.Throws<ArgumentException>(() => TokenBatch.Create([new([1, 2], 0)]));
        Assert.Throws<ArgumentException>(() => TokenBatch.Create([new([1, 2], 3)]));
    }

    public void Dispose()
    {
        scope.Dispose();
        model.Dispose();
    }

    private static TokenRow Row(int length) => new([.. Enumerable.Range(1, length)], length);

    private Tensor Alone(IReadOnlyList<TokenRow> rows) => cat(rows.Select(row =>
    {
        using var batch = TokenBatch.Create([row]);
        return Score(batch);
    }).ToArray());

    private Tensor Score(TokenBatch batch)
    {
        using var noGradient = no_grad();
        return LogProbs.Of(model, model.Hidden(batch), batch, 1).logProbs_N;
    }
}
