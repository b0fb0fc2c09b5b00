using System.Text.Json;
using Gradus.Training.Inference;
using Xunit;

namespace Gradus.Training.Tests.Inference;

public sealed class SamplerTests
{
    public static IEnumerable<TheoryDataRow<string, string>> Cases()
    {
        var roots = new List<string> { Path.Combine(AppContext.BaseDirectory, "fixtures") };
        roots.AddRange((Environment.GetEnvironmentVariable("GRADUS_FIXTURES") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries));
        foreach (var path in roots.Select(root => Path.Combine(root, "sampling.json")).Where(File.Exists))
        {
            using var file = JsonDocument.Parse(File.ReadAllBytes(path));
            foreach (var one in file.RootElement.GetProperty("cases").EnumerateArray()) yield return new(one.GetProperty("name").GetString()!, one.GetRawText());
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_distribution_is_the_reference_s(string name, string json)
    {
        Assert.NotEmpty(name);
        var one = JsonDocument.Parse(json).RootElement;
        var logits = Floats(one.GetProperty("logits"));
        var expected = Floats(one.GetProperty("probabilities"));
        var actual = new Sampler(logits.Length).Probabilities(logits, Options(one.GetProperty("options")), Ints(one.GetProperty("prompt")), Ints(one.GetProperty("generated")));
        for (var i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], actual[i], 1e-6);
            Assert.True((expected[i] > 1e-30) == (actual[i] > 1e-30), $"token {i}: {expected[i]} expected, {actual[i]} came");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Draws_follow_the_distribution(string name, string json)
    {
        Assert.NotEmpty(name);
        var one = JsonDocument.Parse(json).RootElement;
        var logits = Floats(one.GetProperty("logits"));
        var expected = Floats(one.GetProperty("probabilities"));
        var (options, prompt, completion) = (Options(one.GetProperty("options")), Ints(one.GetProperty("prompt")), Ints(one.GetProperty("generated")));
        var sampler = new Sampler(logits.Length);
        var counts = new int[logits.Length];
        // Draws on a regular grid: each token's share of them is its probability, give or take one cell.
        for (var i = 0; i < 2000; i++) counts[sampler.Sample(logits, options, prompt, completion, (i + 0.5) / 2000).Token]++;
        for (var i = 0; i < expected.Length; i++) Assert.InRange(counts[i] / 2000.0, expected[i] - 1.01e-3, expected[i] + 1.01e-3);
    }

    [Fact]
    public void The_log_probability_is_of_logits_over_temperature_before_bias_penalties_and_filters()
    {
        float[] logits = [1, 3, 2, -1];
        var options = new SamplingOptions { Temperature = 0.5, TopK = 1, RepetitionPenalty = 2, LogitBias = new Dictionary<int, double> { [2] = 50 } };
        var sampled = new Sampler(4).Sample(logits, options, [1], [], 0.3);
        Assert.Equal(2, sampled.Token);
        Assert.Equal(4 - Math.Log(Math.Exp(2) + Math.Exp(6) + Math.Exp(4) + Math.Exp(-2)), sampled.LogProb, 1e-6);
    }

    [Fact]
    public void Temperature_zero_takes_the_first_of_the_largest_with_the_log_probability_of_the_logits()
    {
        float[] logits = [0, 2, 2, 1];
        foreach (var draw in new[] { 0, 0.5, 0.999 })
        {
            var sampled = new Sampler(4).Sample(logits, SamplingOptions.Greedy, [], [], draw);
            Assert.Equal(1, sampled.Token);
            Assert.Equal(2 - Math.Log(1 + 2 * Math.Exp(2) + Math.Exp(1)), sampled.LogProb, 1e-6);
        }
    }

    [Fact]
    public void Penalties_and_bias_change_the_greedy_choice()
    {
        float[] logits = [0, 2, 1.5f, 1];
        var sampler = new Sampler(4);
        Assert.Equal(2, sampler.Sample(logits, new SamplingOptions { Temperature = 0, FrequencyPenalty = 0.4 }, [], [1, 1], 0).Token);
        Assert.Equal(1, sampler.Sample(logits, new SamplingOptions { Temperature = 0, PresencePenalty = 0.4 }, [], [1, 1], 0).Token);
        Assert.Equal(2, sampler.Sample(logits, new SamplingOptions { Temperature = 0, RepetitionPenalty = 1.5 }, [1], [], 0).Token);
        Assert.Equal(0, sampler.Sample(logits, new SamplingOptions { Temperature = 0, LogitBias = new Dictionary<int, double> { [0] = 3 } }, [1], [], 0).Token);
    }

    [Fact]
    public void The_top_log_probabilities_are_the_largest_best_first()
    {
        float[] logits = [0, 2, 1, 2];
        var sampled = new Sampler(4).Sample(logits, new SamplingOptions(), [], [], 0.01, top: 3);
        Assert.Equal([1, 3, 2], sampled.Top!.Select(one => one.Token));
        Assert.Equal(2 - Math.Log(1 + 2 * Math.Exp(2) + Math.Exp(1)), sampled.Top![0].LogProb, 1e-6);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void Logits_that_are_not_finite_are_refused(float bad)
    {
        float[] logits = [0, bad, 1];
        Assert.Throws<ArithmeticException>(() => new Sampler(3).Sample(logits, new SamplingOptions(), [], [], 0.5));
        Assert.Throws<ArithmeticException>(() => new Sampler(3).Sample(logits, SamplingOptions.Greedy, [], [], 0.5));
    }

    [Fact]
    public void A_number_out_of_range_is_named()
    {
        static string? Refused(SamplingOptions options) => Assert.Throws<InvalidInputException>(() => options.Validate(10)).Parameter;
        Assert.Equal("temperature", Refused(new() { Temperature = -1 }));
        Assert.Equal("temperature", Refused(new() { Temperature = double.NaN }));
        Assert.Equal("top_p", Refused(new() { TopP = 0 }));
        Assert.Equal("min_p", Refused(new() { MinP = 1.5 }));
        Assert.Equal("logit_bias", Refused(new() { LogitBias = new Dictionary<int, double> { [10] = 1 } }));
        new SamplingOptions().Validate(10);
    }

    private static SamplingOptions Options(JsonElement options)
    {
        double Number(string name, double otherwise) => options.TryGetProperty(name, out var value) ? value.GetDouble() : otherwise;
        return new SamplingOptions
        {
            Temperature = Number("temperature", 1),
            TopK = (int)Number("top_k", 0),
            TopP = Number("top_p", 1),
            MinP = Number("min_p", 0),
            RepetitionPenalty = Number("repetition_penalty", 1),
            PresencePenalty = Number("presence_penalty", 0),
            FrequencyPenalty = Number("frequency_penalty", 0),
            LogitBias = options.TryGetProperty("logit_bias", out var bias) ? bias.EnumerateObject().ToDictionary(one => int.Parse(one.Name), one => one.Value.GetDouble()) : null,
        };
    }

    private static float[] Floats(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetSingle())];

    private static int[] Ints(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetInt32())];
}
