using System.Text.Json;
using Gradus.Training.Grpo;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Grpo;

public sealed class GrpoLossTests
{
    [Fact]
    public void Loss_gradient_and_metrics_are_the_reference_s()
    {
        var cases = 0;
        foreach (var file in GrpoFixtures.Files())
        {
            foreach (var one in file.GetProperty("cases").EnumerateArray())
            {
                // Whole, and cut into micro-batches of rollouts that are added up.
                foreach (var size in new[] { int.MaxValue, 1, 3 }) Check(file, one, one.GetProperty("name").GetString()!, size);
                cases++;
            }
        }
        Assert.True(cases >= 16, $"{cases} cases");
    }

    [Fact]
    public void A_masked_token_has_no_part_whatever_it_holds()
    {
        using var scope = NewDisposeScope();
        var values = tensor(new[] { -1f, -2f, 700f }).requires_grad_();
        var input = new GrpoLossInput(values, tensor(new[] { -1.1f, -2.2f, -700f }), null, tensor(new[] { 1f, 1f, 1f }), full(3, .5f), tensor(new[] { 1f, 1f, 0f }), tensor(new[] { 0L, 0L, 1L }), 2);
        var output = GrpoLoss.Of(input, new GrpoLossOptions());
        output.Loss.backward();
        Assert.True(double.IsFinite(output.Loss.item<float>()));
        Assert.Equal(0, values.grad!.data<float>()[2]);
        Assert.NotEqual(0, values.grad!.data<float>()[0]);
    }

    [Theory]
    [InlineData(0.5, 2.5f)]
    [InlineData(1.0, 1f)]
    [InlineData(0.25, 3.25f)] // torch.quantile([1, 2, 3, 4], 0.75)
    [InlineData(0.001, 3.997f)]
    public void The_top_share_of_entropies_begins_at_torch_s_quantile(double share, float expected) => Assert.Equal(expected, GrpoLoss.EntropyThreshold([3, 1, 4, 2], share), 1e-6f);

    [Fact]
    public void A_token_of_low_entropy_carries_the_divergence_alone()
    {
        using var scope = NewDisposeScope();
        (float Loss, float[] Gradient) Of(double beta, float[] chosen)
        {
            var values = tensor(new[] { -1f, -2f }).requires_grad_();
            var ones = torch.ones(2);
            var output = GrpoLoss.Of(new(values, tensor(new[] { -1.1f, -2.1f }), tensor(new[] { -1.5f, -1.5f }), ones, ones, ones, tensor(new[] { 0L, 1L }), 2, tensor(chosen)), new GrpoLossOptions { Beta = beta });
            output.Loss.backward();
            return (output.Loss.item<float>(), values.grad!.data<float>().ToArray());
        }

        var (plain, divergence, both) = (Of(0, [1, 0]), Of(0.5, [0, 0]), Of(0.5, [1, 0]));
        Assert.Equal(0, plain.Gradient[1]);
        Assert.NotEqual(0, plain.Gradient[0]);
        Assert.Equal(plain.Loss + divergence.Loss, both.Loss, 1e-6f);
        Assert.Equal(divergence.Gradient[1], both.Gradient[1], 1e-6f);
    }

    [Theory, InlineData(true), InlineData(false)]
    public void The_importance_correction_is_the_capped_ratio_of_trainer_to_sampler_on_the_surrogate_alone(bool onPolicy)
    {
        using var scope = NewDisposeScope();
        float[] now = [-1f, -2f, -0.5f], before = onPolicy ? now : [-1.1f, -1.9f, -0.6f], sampled = [-1.3f, -1.8f, -4f];
        float[] Gradient(GrpoLossOptions options, out GrpoLossOutput output)
        {
            var values = tensor(now).requires_grad_();
            var input = new GrpoLossInput(values, onPolicy ? null : tensor(before), tensor(new[] { -1.5f, -1.5f, -1.5f }), tensor(new[] { 1f, -2f, 0.5f }), torch.ones(3), torch.ones(3), tensor(new[] { 0L, 1L, 1L }), 2, null, tensor(sampled));
            output = GrpoLoss.Of(input, options);
            output.Loss.backward();
            return values.grad!.data<float>().ToArray();
        }

        var plain = Gradient(new(), out _);
        var divergence = Gradient(new() { Beta = 0.5 }, out _).Zip(plain, (both, surrogate) => both - surrogate).ToArray();
        var corrected = Gradient(new() { Beta = 0.5, ImportanceCap = 3 }, out var found);
        float[] ratios = [.. before.Zip(sampled, (trainer, sampler) => Math.Min(3f, MathF.Exp(trainer - sampler)))];
        for (var i = 0; i < 3; i++) Assert.Equal((plain[i] * ratios[i]) + divergence[i], corrected[i], 1e-5f);
        Assert.Equal(3, ratios[2]);
        Assert.Equal((ratios.Sum(), 3), (found.Importance.Sum, found.Importance.Max));
    }

    private static void Check(JsonElement file, JsonElement one, string name, int size)
    {
        using var scope = NewDisposeScope();
        var given = one.GetProperty("options");
        var options = new GrpoLossOptions
        {
            LossType = given.GetProperty("loss_type").GetString()!,
            Beta = given.GetProperty("beta").GetDouble(),
            Epsilon = given.GetProperty("epsilon").GetDouble(),
            EpsilonHigh = Number(given, "epsilon_high") ?? given.GetProperty("epsilon").GetDouble(),
            Delta = Number(given, "delta"),
            SequenceLevel = given.GetProperty("importance_sampling_level").GetString() == "sequence",
        };
        var mask = Flat(file, "mask");
        int rows = file.GetProperty("mask").GetArrayLength(), width = mask.Length / rows;
        var lengths = Enumerable.Range(0, rows).Select(r => (int)mask.Skip(r * width).Take(width).Sum()).ToArray();
        var weights = lengths.Select(length => (float)GrpoLoss.TokenWeight(options.LossType, length, rows, lengths.Sum(), lengths.Sum(), given.GetProperty("max_completion_length").GetInt32())).ToArray();
        var advantages = file.GetProperty("advantages").EnumerateArray().Select(a => a.GetSingle()).ToArray();
        var (onPolicy, now, old, reference) = (one.GetProperty("on_policy").GetBoolean(), Flat(file, "logprobs"), Flat(file, "old_logprobs"), Flat(file, "ref_logprobs"));
        var expected = one.GetProperty("grad").EnumerateArray().SelectMany(r => r.EnumerateArray()).Select(v => v.GetSingle()).ToArray();
        var (loss, low, high, lowMin, highMax, kl) = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0);
        for (var first = 0; first < rows; first += Math.Min(size, rows))
        {
            int count = Math.Min(size, rows - first), start = first * width, end = (first + count) * width;
            Tensor Spread(float[] byRow) => tensor(Enumerable.Range(start, end - start).Select(i => byRow[i / width]).ToArray());
            var logProbs = tensor(now[start..end]).requires_grad_();
            var row = Enumerable.Range(start, end - start).Select(i => (long)((i / width) - first)).ToArray();
            var output = GrpoLoss.Of(
                new(logProbs, onPolicy ? null : tensor(old[start..end]), tensor(reference[start..end]), Spread(advantages), Spread(weights), tensor(mask[start..end]), tensor(row), count), options);
            output.Loss.backward();
            var gradient = logProbs.grad!.data<float>().ToArray();
            for (var i = start; i < end; i++) Assert.True(Math.Abs(expected[i] - gradient[i - start]) < 1e-6, $"{name}: gradient {i} is {gradient[i - start]}, not {expected[i]}");
            (loss, low, high, kl) = (loss + output.Loss.item<float>(), low + output.Clipped.Low, high + output.Clipped.High, kl + output.KlSum);
            (lowMin, highMax) = (Math.Min(lowMin, output.LowMin), Math.Max(highMax, output.HighMax));
        }

        Assert.True(Math.Abs(one.GetProperty("loss").GetDouble() - loss) < 1e-5, $"{name}: loss {loss}");
        double counted = options.SequenceLevel ? rows : lengths.Sum();
        var metrics = new Dictionary<string, double>
        {
            ["kl"] = kl / lengths.Sum(),
            ["clip_ratio/low_mean"] = low / counted,
            ["clip_ratio/high_mean"] = high / counted,
            ["clip_ratio/region_mean"] = (low + high) / counted,
            ["clip_ratio/low_min"] = lowMin,
            ["clip_ratio/high_max"] = highMax,
            ["cispo_clip_ratio"] = high / counted,
        };
        foreach (var metric in one.GetProperty("metrics").EnumerateObject().Where(m => m.Name != "entropy"))
            Assert.True(Math.Abs(metric.Value.GetDouble() - metrics[metric.Name]) < 1e-5, $"{name}: {metric.Name} is {metrics[metric.Name]}, not {metric.Value}");
    }

    private static double? Number(JsonElement from, string name) => from.GetProperty(name) is { ValueKind: JsonValueKind.Number } value ? value.GetDouble() : null;

    private static float[] Flat(JsonElement file, string name) => [.. file.GetProperty(name).EnumerateArray().SelectMany(r => r.EnumerateArray()).Select(v => v.GetSingle())];
}
