using System.Text.Json;
using Gradus.Training.Rewards;
using Xunit;

namespace Gradus.Training.Tests.Rewards;

public sealed class ShapeRewardTests
{
    /// <summary>Longest 20, cache 4: (16 - length) / 4 between.</summary>
    [Theory]
    [InlineData(1, 0)]
    [InlineData(16, 0)]
    [InlineData(17, -0.25)]
    [InlineData(18, -0.5)]
    [InlineData(20, -1)]
    [InlineData(21, -1)]
    public void Long_completions_are_punished_the_more_the_nearer_they_are_to_the_longest(int length, double expected) =>
        Assert.Equal(expected, Of("""{"name":"soft_overlong","max_completion_len":20,"soft_punish_cache":4}""", "text", length));

    [Fact]
    public void Without_a_cache_only_what_is_longer_is_punished_and_unknown_lengths_have_no_score()
    {
        const string Options = """{"name":"soft_overlong","max_completion_len":20,"soft_punish_cache":0}""";
        Assert.Equal((0, -1, null), (Of(Options, "", 20), Of(Options, "", 21), Of(Options, "", null)));
    }

    [Theory]
    [InlineData("", 3, 0)]
    [InlineData("a b", 3, 0)]
    [InlineData("a b c", 3, 0)]
    [InlineData("a b c d", 2, 0)]
    // abc bca cab abc bca cab: three of six stood before.
    [InlineData("a b c a b c a b", 3, -0.5)]
    // Four of five words.
    [InlineData("No no NO no\nno", 1, -0.8)]
    // no no, four times.
    [InlineData("no no no no no", 2, -0.75)]
    // "ab c" and "a bc" are not the same.
    [InlineData("ab c a bc", 2, 0)]
    // Han characters one by one: 等等 is two words; 等等 等一 一下 下等 等等 repeats one of five.
    [InlineData("等等一下等等", 2, -0.2)]
    // a 等 b 等: four words of which one again.
    [InlineData("a等b等", 1, -0.25)]
    public void Repeated_n_grams_are_punished_by_their_share(string text, int size, double expected) =>
        Assert.Equal(expected, Of($$"""{"name":"repetition_penalty","ngram_size":{{size}},"max_penalty":-1}""", text, 1)!.Value, 1e-12);

    [Fact]
    public void The_penalty_is_the_largest_there_is_and_has_open_r1s_defaults()
    {
        Assert.Equal(-0.05, Of("""{"name":"repetition_penalty","ngram_size":3,"max_penalty":-0.1}""", "a b c a b c a b", 1)!.Value, 1e-12);
        Assert.Equal(-0.5, Of("""{"name":"repetition_penalty"}""", "a b c a b c a b", 1));
    }

    [Theory]
    [InlineData("""{"name":"soft_overlong"}""", "max_completion_len")]
    [InlineData("""{"name":"soft_overlong","max_completion_len":20}""", "soft_punish_cache")]
    [InlineData("""{"name":"soft_overlong","max_completion_len":0,"soft_punish_cache":0}""", "max_completion_len")]
    [InlineData("""{"name":"soft_overlong","max_completion_len":20,"soft_punish_cache":21}""", "soft_punish_cache")]
    [InlineData("""{"name":"soft_overlong","max_completion_len":20.5,"soft_punish_cache":2}""", "max_completion_len")]
    [InlineData("""{"name":"soft_overlong","max_completion_len":20,"soft_punish_cache":2,"ngram_size":2}""", "ngram_size")]
    [InlineData("""{"name":"repetition_penalty","ngram_size":0}""", "ngram_size")]
    [InlineData("""{"name":"repetition_penalty","ngram_size":41}""", "ngram_size")]
    [InlineData("""{"name":"repetition_penalty","max_penalty":0.5}""", "max_penalty")]
    [InlineData("""{"name":"repetition_penalty","max_penalty":"-1"}""", "max_penalty")]
    [InlineData("""{"name":"format","ngram_size":3}""", "ngram_size")]
    public void What_is_wrong_is_refused_with_its_place(string options, string field) =>
        Assert.Equal($"rewards[0].{field}", Assert.Throws<InvalidInputException>(() => Of(options, "", 1)).Parameter);

    private static double? Of(string options, string completion, int? tokens) =>
        Rubric.FromOptions(JsonDocument.Parse($"[{options}]").RootElement).Score(new("", completion, JsonDocument.Parse("{}").RootElement, "stop") { Tokens = tokens }).Rewards[0].Value;
}
