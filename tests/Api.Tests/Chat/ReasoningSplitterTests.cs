using Gradus.Api.Chat;
using Gradus.Training.Rewards;
using Xunit;

namespace Gradus.Api.Tests.Chat;

public sealed class ReasoningSplitterTests
{
    public static TheoryData<string, bool, string, string> Texts => new()
    {
        { "<think>7 + 5</think><answer>12</answer>", false, "7 + 5", "12" },
        { "<think>\n7 + 5\n</think>\n\n<answer> 12 </answer>\n", false, "7 + 5", "12" },
        { "<think>a < b </thin</think> So 12. ", false, "a < b </thin", "So 12." },
        { "7 + 5</think>12", true, "7 + 5", "12" },
        { "  <think>endless", false, "endless", "" },
        { "<think>a</think>", false, "a", "" },
        { "<think>a</think><answer>1", false, "a", "1" },
        { "no tags at all ", false, "", "no tags at all " },
        { "a <b> </think c", false, "", "a <b> </think c" },
        { "<answer>12</answer>", false, "", "12" },
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public void Pieces_of_any_size_give_the_same_reasoning_and_answer(string text, bool opened, string reasoning, string answer)
    {
        for (var size = 1; size <= text.Length; size++)
        {
            var splitter = new ReasoningSplitter(opened);
            var parts = text.Chunk(size).Select(piece => splitter.Push(new string(piece))).ToList();
            parts.Add(splitter.Flush());
            Assert.Equal(reasoning, string.Concat(parts.Select(part => part.Reasoning)));
            Assert.Equal(answer, string.Concat(parts.Select(part => part.Content)));
        }
        var whole = ReasoningText.Split((opened ? "<think>" : "") + text);
        if (text.Contains("<think>", StringComparison.Ordinal) || opened) Assert.Equal((whole.Reasoning, whole.Answer), (reasoning, answer));
    }

    [Fact]
    public void What_is_certain_comes_at_once()
    {
        var splitter = new ReasoningSplitter(false);
        splitter.Push("<think>");
        Assert.True(splitter.InReasoning);
        Assert.Equal("7 +", splitter.Push("7 + ").Reasoning);
        Assert.Equal(" 5", splitter.Push("5</th").Reasoning);
        splitter.Push("ink>");
        Assert.False(splitter.InReasoning);
        Assert.Equal("", splitter.Push("<ans").Content);
        Assert.Equal("12", splitter.Push("wer>12").Content);
    }
}
