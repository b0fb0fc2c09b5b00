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
                // The other losses are declared by their type, and are not made yet.
                if (one.GetProperty("options").GetProperty("loss_type").GetString() is not ("grpo" or "dapo")) continue;
                Check(file, one, one.GetProperty("name").GetString()!);
                cases++;
            }
        }
        Assert.True(cases >= 10, $"{cases} cases");
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

    private static void Check(JsonElement file, JsonElement one, string name)
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
        var row = Enumerable.Range(0, mask.Length).Select(i => (long)(i / width)).ToArray();
        var weights = row.Select(r => (float)GrpoLoss.TokenWeight(options.LossType, lengths[r], rows, lengths.Sum())).ToArray();
        var advantages = file.GetProperty("advantages").EnumerateArray().Select(a => a.GetSingle()).ToArray();
        var logProbs = tensor(Flat(file, "logprobs")).requires_grad_();
        var output = GrpoLoss.Of(
            new(logProbs, one.GetProperty("on_policy").GetBoolean() ? null : tensor(Flat(file, "old_logprobs")), tensor(Flat(file, "ref_logprobs")),
                tensor(row.Select(r => advantages[r]).ToArray()), tensor(weights), tensor(mask), tensor(row), rows), options);
        output.Loss.backward();

        Assert.True(Math.Abs(one.GetProperty("loss").GetDouble() - output.Loss.item<float>()) < 1e-5, $"{name}: loss {output.Loss.item<float>()}");
        var gradient = logProbs.grad!.data<float>().ToArray();
        var expected = one.GetProperty("grad").EnumerateArray().SelectMany(r => r.EnumerateArray()).Select(v => v.GetSingle()).ToArray();
        for (var i = 0; i < expected.Length; i++) Assert.True(Math.Abs(expected[i] - gradient[i]) < 1e-6, $"{name}: gradient {i} is {gradient[i]}, not {expected[i]}");

        double counted = options.SequenceLevel ? rows : lengths.Sum();
        var metrics = new Dictionary<string, double>
        {
            ["kl"] = output.KlSum / lengths.Sum(),
            ["clip_ratio/low_mean"] = output.Clipped.Low / counted,
            ["clip_ratio/high_mean"] = output.Clipped.High / counted,
            ["clip_ratio/region_mean"] = (output.Clipped.Low + output.Clipped.High) / counted,
            ["clip_ratio/low_min"] = output.LowMin,
            ["clip_ratio/high_max"] = output.HighMax,
        };
        foreach (var metric in one.GetProperty("metrics").EnumerateObject().Where(m => m.Name != "entropy"))
            Assert.True(Math.Abs(metric.Value.GetDouble() - metrics[metric.Name]) < 1e-5, $"{name}: {metric.Name} is {metrics[metric.Name]}, not {metric.Value}");
    }

    private static double? Number(JsonElement from, string name) => from.GetProperty(name) is { ValueKind: JsonValueKind.Number } value ? value.GetDouble() : null;

    private static float[] Flat(JsonElement file, string name) => [.. file.GetProperty(name).EnumerateArray().SelectMany(r => r.EnumerateArray()).Select(v => v.GetSingle())];
}
