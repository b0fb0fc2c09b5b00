using Gradus.Training.Model;
using Gradus.Training.Model.Cpu;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Model;

public sealed class TrainingKernelsTests : IDisposable
{
    private readonly int threads = get_num_threads();
    private readonly DisposeScope scope = NewDisposeScope();

    /// <summary>Whatever the threads, and wherever in memory the numbers lie.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Results_are_the_same_bits(bool half)
    {
        Assert.SkipUnless(TrainingKernels.Supported, "No kernels here.");
        var expected = All(half, 0, 1);
        foreach (var (offset, count) in new[] { (0, 2), (1, 2), (3, 1), (7, 2) }) Assert.Equal(expected, All(half, offset, count));
    }

    [Theory]
    [InlineData(-1e30f, 0f)]
    [InlineData(float.NegativeInfinity, 0f)]
    [InlineData(float.NaN, float.NaN)]
    public void A_logit_that_is_nothing_adds_nothing_and_one_that_is_not_a_number_is_not_hidden(float logit, float probability)
    {
        Assert.SkipUnless(TrainingKernels.Supported, "No kernels here.");
        Tensor logits = tensor(new[] { 1f, 1f, logit, 1f }, [1, 4]), targets = tensor(new long[] { 1 }), logProbs = empty(1), entropy = empty(1), logs = empty(1);
        TrainingKernels.Vocabulary(logits, targets, 1, logProbs, entropy, logs);
        var none = float.IsNaN(probability);
        Assert.Equal(none ? float.NaN : -MathF.Log(3), logProbs.item<float>(), 1e-6f);
        TrainingKernels.VocabularyBack(logits, targets, 1, ones(1), logs);
        float[] expected = none ? [float.NaN, float.NaN, float.NaN, float.NaN] : [-1f / 3, 2f / 3, probability, -1f / 3];
        foreach (var (value, actual) in expected.Zip(logits.data<float>().ToArray())) Assert.Equal(value, actual, 1e-6f);
    }

    public void Dispose()
    {
        set_num_threads(threads);
        scope.Dispose();
    }

    private static byte[] All(bool half, int offset, int count)
    {
        set_num_threads(count);
        var type = half ? ScalarType.BFloat16 : ScalarType.Float32;
        var config = Families.All["llama, untied, odd widths"];
        using var batch = TokenBatch.Share([[new([1, 2, 3, 4, 5], 3), new([1, 2, 3, 9], 3)], [new([.. Enumerable.Range(0, 90)], 1)]]);
        using var rotary = new RotaryEmbedding(config, CPU);
        var (cos, sin) = rotary.Upto(batch.LongestRow);
        var plan = new AttentionPlan(config, batch.Sequence, cos, sin);
        long tokens = batch.Sequence.Ids.Length, heads = config.Heads * config.HeadDim, joined = heads + (2 * config.KeyValueHeads * config.HeadDim);
        List<Tensor> results = [];
        Tensor Room(ScalarType of, params long[] shape) => empty([shape.Aggregate(1L, (a, b) => a * b) + offset], of).narrow(0, offset, shape.Aggregate(1L, (a, b) => a * b)).view(shape);
        Tensor Result(ScalarType of, params long[] shape)
        {
            results.Add(Room(of, shape));
            return results[^1];
        }
        Tensor Filled(int seed, ScalarType of, params long[] shape)
        {
            var random = DerivedRandom.For(seed, "kernels");
            var values = Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(_ => (float)random.NextGaussian()).ToArray();
            return Room(of, shape).copy_(tensor(values, shape));
        }
        Tensor qkv = Filled(1, type, tokens, joined), dy = Filled(2, type, tokens, heads);
        TrainingKernels.Attention(plan, qkv, Result(type, tokens, heads));
        TrainingKernels.AttentionBack(plan, qkv, dy, Result(type, tokens, joined));
        var both = Filled(3, type, tokens, 100);
        TrainingKernels.Gate(both, Result(type, tokens, 50));
        TrainingKernels.GateBack(both, Filled(4, type, tokens, 50), Result(type, tokens, 100));
        var norm = new RmsNorm(Filled(5, ScalarType.Float32, 37).requires_grad_(true), 1e-5);
        Tensor x = Filled(6, ScalarType.Float32, tokens, 37), sum = Result(ScalarType.Float32, tokens, 37), scale = Result(ScalarType.Float32, tokens);
        TrainingKernels.Norm(x, Filled(7, type, tokens, 37), sum, norm, Result(type, tokens, 37), scale);
        TrainingKernels.NormBack(sum, norm, scale, Filled(8, type, tokens, 37), x, Result(ScalarType.Float32, tokens, 37), half ? Result(type, tokens, 37) : null);
        results.Add(norm.Weight.grad!);
        var logits = Filled(9, type, tokens, 1_001);
        results.Add(logits);
        var (targets, logs) = (tensor(batch.Sequence.Ids), Result(ScalarType.Float32, tokens));
        TrainingKernels.Vocabulary(logits, targets, 1.25, Result(ScalarType.Float32, tokens), Result(ScalarType.Float32, tokens), logs);
        TrainingKernels.VocabularyBack(logits, targets, 1.25, Filled(10, ScalarType.Float32, tokens), logs);
        return [.. results.SelectMany(result => result.bytes.ToArray())];
    }
}
