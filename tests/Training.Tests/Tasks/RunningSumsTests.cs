using System.Text.Json;
using System.Text.RegularExpressions;
using Gradus.Training.Rewards;
using Gradus.Training.Tasks;
using Gradus.Training.Text;
using Xunit;

namespace Gradus.Training.Tests.Tasks;

public sealed partial class RunningSumsTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("gradus-tiny-").FullName;
    private readonly ITask task = BuiltIn.Task("running-sums");

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void Every_text_comes_back_unchanged_and_without_unknown_tokens()
    {
        TinyModel.WriteWithoutWeights(folder);
        var tokenizer = Tokenizer.Load(folder);
        var unknown = tokenizer.TokenId("<unk>");
        var texts = task.Kinds.SelectMany(kind => task.Generate(kind, Count(kind), 3)).Select(row => Text(row, "prompt") + (Text(row, "completion") ?? Text(row, "answer")));
        var count = 0;
        foreach (var text in texts)
        {
            var ids = tokenizer.Encode(text);
            Assert.DoesNotContain(unknown!.Value, ids);
            Assert.Equal(text, tokenizer.Decode(ids));
            count++;
        }

        Assert.True(count > 10_000);

        static int Count(string kind) => kind switch { "held-out" => 256, "general-held-out" => 64, "documents" => 8_000, _ => 1_500 };
    }

    [Fact]
    public void Digits_are_tokens_one_by_one_and_words_carry_their_spaces()
    {
        TinyModel.WriteWithoutWeights(folder);
        var tokenizer = Tokenizer.Load(folder);
        string[] pieces = [.. tokenizer.Encode("User: What is 47 + 8?\nAssistant:").Select(id => tokenizer.Decode([id]))];
        Assert.Equal(["User: ", "What is ", "4", "7", " + ", "8", "?", "\n", "Assistant:"], pieces);
        pieces = [.. tokenizer.Encode("<think>再算 55 - 5 = 50。No, it is 9. </think><answer>9</answer>").Select(id => tokenizer.Decode([id]))];
        Assert.Equal(["<think>", "再算 ", "5", "5", " - ", "5", " = ", "5", "0", "。", "No, it is ", "9", ". ", "</think>", "<answer>", "9", "</answer>"], pieces);
        Assert.Equal("<eos>", tokenizer.Decode([1]));
        Assert.Equal("", tokenizer.Decode([0, 1], skipSpecialTokens: true));
    }

    [Fact]
    public void Problems_stay_in_their_bounds_and_their_answers_are_right()
    {
        foreach (var row in task.Generate("problems", 3_000, 5))
        {
            var prompt = Text(row, "prompt")!;
            Assert.Matches(row.GetProperty("language").GetString() == "en" ? @"^User: What is \d\d( [+-] \d){3,5}\?\nAssistant:$" : @"^User: 请问 \d\d( [+-] \d){3,5} 等于多少？\nAssistant:$", prompt);
            var sum = 0;
            foreach (Match term in Term().Matches(prompt))
            {
                sum += int.Parse(term.Value.Replace(" ", "", StringComparison.Ordinal));
                Assert.InRange(sum, 10, 99);
            }

            Assert.Equal($"{sum}", Text(row, "answer"));
        }
    }

    [Fact]
    public void Documents_are_mixed_as_the_world_says()
    {
        var documents = task.Generate("documents", 20_000, 9).Select(row => (Prompt: Text(row, "prompt")!, Completion: Text(row, "completion")!)).ToList();
        Share(0.06, documents, d => d.Prompt.Contains("Translate", StringComparison.Ordinal) || d.Prompt.Contains("翻译", StringComparison.Ordinal));
        var sums = documents.Where(d => NumberTerms().IsMatch(d.Prompt)).ToList();
        Share(0.30, sums, d => !d.Completion.StartsWith("<think>", StringComparison.Ordinal));
        Share(0.5 * 0.35 + 0.5 * 0.15, sums, d => !d.Completion.Contains('=', StringComparison.Ordinal));
        // A check needs a step of two operations, which every problem has.
        Share(0.5 * 0.12 + 0.5 * 0.35, sums, d => d.Completion.Contains("Wait, let me check. ", StringComparison.Ordinal) || d.Completion.Contains("等等，检查一下。", StringComparison.Ordinal));
        var direct = sums.Where(d => !d.Completion.Contains('=', StringComparison.Ordinal)).ToList();
        Assert.All(direct, d => Assert.Equal(Sum(d.Prompt), int.Parse(Digits().Match(d.Completion).Value)));
        var own = sums.Where(d => d.Completion.Contains('=', StringComparison.Ordinal)).ToList();
        Share((0.5 * 0.65 + 0.2 * 0) / (0.5 * 0.65 + 0.5 * 0.85) + 0.035, own, d => OneLanguage(d.Prompt, d.Completion), within: 0.03); // mixed ones are sometimes in one language by chance
    }

    [Fact]
    public void Steps_slip_as_often_as_the_world_says()
    {
        var steps = task.Generate("documents", 20_000, 9).SelectMany(row => Step().Matches(Text(row, "completion")!)).ToList();
        List<Match> Of(bool check, int operations) => [.. steps.Where(s => s.Groups["word"].Success != check && s.Groups["left"].Value.Count(c => c is '+' or '-') == operations)];
        Share(0.30, Of(check: false, operations: 2), Wrong);
        Share(0.10, Of(check: false, operations: 1), Wrong);
        Share(0.02, Of(check: true, operations: 1), Wrong, within: 0.006);
        Assert.Empty(Of(check: true, operations: 2));

        static bool Wrong(Match step) => Sum(step.Groups["left"].Value) != int.Parse(step.Groups["result"].Value);
    }

    [Fact]
    public void The_cold_start_is_well_formed_and_in_the_language_of_the_question()
    {
        foreach (var row in task.Generate("cold-start", 200, BuiltIn.Seed))
        {
            Assert.True(ReasoningText.Split(Text(row, "completion")!).WellFormed);
            Assert.True(OneLanguage(Text(row, "prompt")!, Text(row, "completion")!));
        }
    }

    [Fact]
    public void Held_out_prompts_occur_nowhere_else_in_either_language()
    {
        var heldOut = task.Generate("held-out", 256, 0).Select(row => Terms(Text(row, "prompt")!)).ToHashSet();
        Assert.Equal(256, heldOut.Count);
        var translations = task.Generate("general-held-out", 64, 0).Select(row => Text(row, "prompt")!).ToHashSet();
        Assert.Equal(64, translations.Count);
        // Problems with three steps are few enough (some 200,000) that 60,000 draws would meet a held-out one.
        foreach (var dataset in BuiltIn.Datasets.Where(d => d.Id.StartsWith("running-sums", StringComparison.Ordinal) && !d.Id.EndsWith("held-out", StringComparison.Ordinal)))
        {
            foreach (var prompt in dataset.Rows().Select(row => Text(row, "prompt")!))
            {
                Assert.DoesNotContain(prompt, translations);
                if (NumberTerms().IsMatch(prompt)) Assert.DoesNotContain(Terms(prompt), heldOut);
            }
        }
    }

    [Fact]
    public void A_row_depends_on_seed_kind_and_index_alone()
    {
        var longer = task.Generate("documents", 50, 4).Select(row => row.GetRawText()).ToList();
        Assert.Equal(longer.Take(20), task.Generate("documents", 20, 4).Select(row => row.GetRawText()));
        Assert.NotEqual(longer, task.Generate("documents", 50, 5).Select(row => row.GetRawText()));
    }

    [Fact]
    public void The_built_in_datasets_have_fixed_ids_sizes_and_fields()
    {
        var found = BuiltIn.Datasets.Select(d => (d.Id, Rows: d.Rows().ToList())).Select(d => $"{d.Id} {d.Rows.Count} {string.Join(',', d.Rows[0].EnumerateObject().Select(f => f.Name))}");
        Assert.Equal(
            [
                "running-sums-documents 45000 prompt,completion", "running-sums-cold-start 200 prompt,completion", "running-sums-general 500 prompt,completion",
                "running-sums-problems 20000 prompt,answer,language", "running-sums-held-out 256 prompt,answer,language", "running-sums-general-held-out 64 prompt,answer",
                "times-tables 121 prompt,answer",
            ],
            found);
    }

    [Fact]
    public void A_wrong_task_kind_or_count_is_refused_with_what_is_allowed()
    {
        Assert.Contains("running-sums", Assert.Throws<InvalidInputException>(() => BuiltIn.Task("sums")).Message, StringComparison.Ordinal);
        Assert.Contains("documents", Assert.Throws<InvalidInputException>(() => task.Generate("sums", 1, 0)).Message, StringComparison.Ordinal);
        Assert.Equal("out_of_range", Assert.Throws<InvalidInputException>(() => task.Generate("documents", 0, 0)).Code);
        Assert.Contains("256", Assert.Throws<InvalidInputException>(() => task.Generate("held-out", 257, 0)).Message, StringComparison.Ordinal);
    }

    private static string? Text(JsonElement row, string field) => row.TryGetProperty(field, out var value) ? value.GetString() : null;

    private static string Terms(string prompt) => NumberTerms().Match(prompt).Value;

    private static int Sum(string prompt) => Term().Matches(prompt).Sum(term => int.Parse(term.Value.Replace(" ", "", StringComparison.Ordinal)));

    private static bool OneLanguage(string prompt, string completion)
    {
        var (latin, han) = LanguageConsistencyReward.Count(Tags().Replace(completion, " "));
        return prompt.Contains("What", StringComparison.Ordinal) ? han == 0 : latin == 0;
    }

    private static void Share<T>(double expected, List<T> items, Func<T, bool> test, double within = 0.015)
    {
        var share = (double)items.Count(test) / items.Count;
        Assert.InRange(share, expected - within, expected + within);
    }

    [GeneratedRegex(@"(?:^|[+-] )?\d+")]
    private static partial Regex Term();

    [GeneratedRegex(@"\d\d( [+-] \d){3,5}")]
    private static partial Regex NumberTerms();

    [GeneratedRegex(@"(?<word>First |Then |先算 |再算 )?(?<left>\d+(?: [+-] \d+)+) = (?<result>\d+)")]
    private static partial Regex Step();

    [GeneratedRegex(@"\d+")]
    private static partial Regex Digits();

    [GeneratedRegex("<[^>]*>")]
    private static partial Regex Tags();
}
