using System.Text.Json;
using Gradus.Training.Rewards;
using Xunit;

namespace Gradus.Training.Tests.Rewards;

public sealed class RewardTests
{
    private const string Good = "<think>First 47 + 8 = 55. </think><answer>55</answer>";

    [Theory]
    [InlineData(Good, "First 47 + 8 = 55.", "55", true)]
    [InlineData("\n<think>a</think>\n\n<answer> b </answer>\n", "a", "b", true)]
    [InlineData("<think></think><answer></answer>", "", "", true)]
    [InlineData("<think>a", "a", "", false)]
    [InlineData("<think>a</think>", "a", "", false)]
    [InlineData("<think>a</think>b", "a", "b", false)]
    [InlineData("<think>a</think><answer>b", "a", "b", false)]
    [InlineData("<think>a</think>x<answer>b</answer>", "a", "b", false)]
    [InlineData("<think>a</think><answer>b</answer>x", "a", "b", false)]
    [InlineData("x<think>a</think><answer>b</answer>", "a", "b", false)]
    [InlineData("<think>a<think></think><answer>b</answer>", "a<think>", "b", false)]
    [InlineData("<think>a</think><answer>b</answer><answer>c</answer>", "a", "b", false)]
    [InlineData("<think>a<answer>1</answer></think><answer>b</answer>", "a<answer>1</answer>", "b", false)]
    [InlineData("a</think>b", "a", "b", false)]
    [InlineData("</answer><answer></think><think>", "", "", false)]
    [InlineData("plain", "", "plain", false)]
    [InlineData("<answer>b</answer>", "", "b", false)]
    [InlineData("", "", "", false)]
    public void Completions_are_split(string completion, string reasoning, string answer, bool wellFormed) =>
        Assert.Equal(new ReasoningText(reasoning, answer, wellFormed), ReasoningText.Split(completion));

    [Theory]
    [InlineData(Good, "stop", 1)]
    [InlineData(Good, "length", 0)]
    [InlineData("55", "stop", 0)]
    public void Format_wants_the_tags_and_an_end(string completion, string finish, double expected) =>
        Assert.Equal(expected, new FormatReward().Score(Context(completion, "{}", finish)));

    [Theory]
    [InlineData(Good, "\"55\"", true, 1.0)]
    [InlineData(Good, "55.0", true, 1.0)]
    [InlineData(Good, "\"56\"", true, 0.0)]
    [InlineData("55", "\"55\"", true, 0.0)]
    [InlineData("55", "\"55\"", false, 1.0)]
    [InlineData("<think>1</think>So it is 1,055.50 apples.", "1055.5", false, 1.0)]
    [InlineData("<think>55", "55", false, 0.0)]
    [InlineData("<think></think><answer> red apple </answer>", "\"red apple\"", true, 1.0)]
    [InlineData("<think></think><answer>apple 4</answer>", "\"apple 4\"", false, 1.0)]
    [InlineData("<think></think><answer></answer>", "\"\"", true, 0.0)]
    [InlineData(Good, "null", true, null)]
    [InlineData(Good, "[55]", true, null)]
    public void Accuracy_compares_the_final_answer(string completion, string answer, bool requireFormat, double? expected) =>
        Assert.Equal(expected, new AccuracyReward(requireFormat).Score(Context(completion, $$"""{"answer":{{answer}}}""")));

    [Theory]
    [InlineData("7 * 8 = 56", "\"56\"", 1.0)]
    [InlineData("7 * 8 = 56.", "56", 1.0)]
    [InlineData("It is 56, as 7 * 8", "56", 0.0)]
    [InlineData("056", "56", 1.0)]
    [InlineData("5 6", "56", 0.0)]
    [InlineData("156", "56", 0.0)]
    [InlineData("fifty-six", "56", 0.0)]
    [InlineData("", "56", 0.0)]
    [InlineData("٥٦", "56", 0.0)]
    [InlineData("0", "0", 1.0)]
    [InlineData("", "0", 0.0)]
    [InlineData("56", "[56]", null)]
    public void The_last_run_of_digits_is_compared(string completion, string answer, double? expected) =>
        Assert.Equal(expected, new LastNumberReward().Score(Context(completion, $$"""{"answer":{{answer}}}""")));

    [Theory]
    [InlineData("42", "42", true)]
    [InlineData("+42", "42.0", true)]
    [InlineData("-0", "0", true)]
    [InlineData("007", "7", true)]
    [InlineData(".5", "0.50", true)]
    [InlineData("-.5", "-0.5", true)]
    [InlineData("1,000", "1000", true)]
    [InlineData("1,00", "100", false)]
    [InlineData("123456789012345678901234567890", "123456789012345678901234567891", false)]
    [InlineData("4 2", "42", false)]
    [InlineData("٤٢", "42", false)]
    [InlineData("abc", " abc ", true)]
    [InlineData("--5", "-5", false)]
    public void Numbers_are_equal_by_value_and_texts_as_they_are(string answer, string reference, bool equal) => Assert.Equal(equal, FinalAnswer.Equal(answer, reference));

    [Fact]
    public void The_majority_is_the_most_frequent_answer_and_of_equals_the_first()
    {
        Assert.Equal("7", FinalAnswer.Majority(["5", "7", null, "7"]));
        Assert.Equal("5", FinalAnswer.Majority(["5", null, null, "7"]));
        Assert.Null(FinalAnswer.Majority([null]));
        Assert.Equal("55", FinalAnswer.Of(Good));
        Assert.Null(FinalAnswer.Of("55"));
    }

    [Theory]
    [InlineData("<think>First 1 + 1 = 2. OK. </think>", "en", 1.0)]
    [InlineData("<think>First 1 + 1 = 2. OK. </think>", "zh", 0.0)]
    [InlineData("<think>先算 1 + 1 = 2。OK. </think>", "zh", 2.0 / 3)]
    [InlineData("<think>it's naïve</think>答", "en", 1.0)]
    [InlineData("<think>1 + 1 = 2</think>", "en", null)]
    [InlineData("no reasoning", "en", null)]
    public void Language_consistency_is_the_share_of_words_of_the_target(string completion, string language, double? expected) =>
        Assert.Equal(expected, new LanguageConsistencyReward().Score(Context(completion, $$"""{"language":"{{language}}"}""")));

    [Fact]
    public void A_row_without_language_has_no_language_score() => Assert.Null(new LanguageConsistencyReward().Score(Context("<think>a</think>", "{}")));

    [Fact]
    public void Rewards_answer_to_every_text()
    {
        string[] parts = ["<think>", "</think>", "<answer>", "</answer>", "55", " ", "\0", "\uD800", "先", "word", "-", ".", ",", "1,000"];
        var rubric = Options("""[{"name":"accuracy","require_format":false},{"name":"format","weight":0.2},{"name":"language_consistency","weight":-0.5},{"name":"last_number","weight":0}]""");
        for (var index = 0; index < 5_000; index++)
        {
            var random = DerivedRandom.For(3, "completion", 0, index);
            var text = string.Concat(Enumerable.Range(0, random.Next(0, 15)).Select(_ => random.Pick(parts)));
            var score = rubric.Score(Context(text, """{"answer":"55","language":"zh"}"""));
            Assert.All(score.Rewards, reward => Assert.True(reward.Value is null or (>= 0 and <= 1)));
            Assert.InRange(score.Total!.Value, -0.5, 1.2);
        }
    }

    [Fact]
    public void A_rubric_weighs_what_applies()
    {
        var rubric = Options("""[{"name":"accuracy"},{"name":"format","weight":0.2},{"name":"language_consistency","weight":0.5}]""");
        Assert.Equal(["accuracy", "format", "language_consistency"], rubric.Names);
        var score = rubric.Score(Context(Good, """{"answer":"55"}"""));
        Assert.Equal(1.2, score.Total!.Value, 12);
        Assert.Equal([1.0, 1.0, null], score.Rewards.Select(reward => reward.Value));
        Assert.Null(Options("""[{"name":"accuracy"}]""").Score(Context(Good, "{}")).Total);
    }

    [Theory]
    [InlineData("[]", "rewards")]
    [InlineData("{}", "rewards")]
    [InlineData("""[{"weight":1}]""", "rewards[0].name")]
    [InlineData("""[{"name":"accurate"}]""", "rewards[0].name")]
    [InlineData("""[{"name":"format"},{"name":"format"}]""", "rewards[1].name")]
    [InlineData("""[{"name":"format","weight":101}]""", "rewards[0].weight")]
    [InlineData("""[{"name":"format","weight":"1"}]""", "rewards[0].weight")]
    [InlineData("""[{"name":"format","require_format":true}]""", "rewards[0].require_format")]
    [InlineData("""[{"name":"accuracy","require_format":1}]""", "rewards[0].require_format")]
    public void A_wrong_rubric_is_refused_with_its_place(string options, string parameter) =>
        Assert.Equal(parameter, Assert.Throws<InvalidInputException>(() => Options(options)).Parameter);

    [Fact]
    public void A_reward_that_throws_or_gives_no_number_fails_by_name()
    {
        var problem = Assert.Throws<RewardFailedException>(() => new Rubric([(new Bad(() => throw new InvalidOperationException("boom")), 1)]).Score(Context("", "{}")));
        Assert.Equal(("bad", "The reward 'bad' failed: boom"), (problem.Reward, problem.Message));
        Assert.Throws<RewardFailedException>(() => new Rubric([(new Bad(() => double.NaN), 1)]).Score(Context("", "{}")));
        Assert.Throws<RewardFailedException>(() => Options("""[{"name":"language_consistency"}]""").Score(Context("<think>a</think>", """{"language":"fr"}""")));
    }

    private static Rubric Options(string json) => Rubric.FromOptions(Row(json));

    private static RewardContext Context(string completion, string row, string finish = "stop") => new("prompt", completion, Row(row), finish);

    private static JsonElement Row(string json) => JsonSerializer.Deserialize<JsonElement>(json);

    private sealed class Bad(Func<double?> score) : IReward
    {
        public string Name => "bad";

        public double? Score(RewardContext context) => score();
    }
}
