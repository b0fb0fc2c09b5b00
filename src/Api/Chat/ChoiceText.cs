using System.Text;
using Gradus.Training.Rewards;

namespace Gradus.Api.Chat;

/// <summary>One choice of an answer as its tokens come.</summary>
/// <param name="opensReasoning">The prompt ends with an opening think tag.</param>
internal sealed class ChoiceText(int index, bool opensReasoning)
{
    private readonly ReasoningSplitter splitter = new(opensReasoning);
    private readonly StringBuilder text = new();
    private readonly List<ChatTokenLogProb> logProbs = [];

    public int Index { get; } = index;

    public int Tokens { get; private set; }

    public int ReasoningTokens { get; private set; }

    /// <summary>Null while it runs.</summary>
    public string? FinishReason { get; private set; }

    public ChoiceDelta Take(ServeEvent token)
    {
        Tokens++;
        text.Append(token.Text);
        var before = splitter.InReasoning;
        var split = splitter.Push(token.Text);
        if (before || splitter.InReasoning) ReasoningTokens++;
        FinishReason = token.FinishReason;
        if (FinishReason is not null)
        {
            var rest = splitter.Flush();
            split = new SplitText(split.Reasoning + rest.Reasoning, split.Content + rest.Content);
        }
        var logProb = token.LogProb is null ? null : LogProb(token.LogProb, [.. token.Top!.Select(one => LogProb(one, null))]);
        if (logProb is not null) logProbs.Add(logProb);
        return new ChoiceDelta(split, logProb);
    }

    /// <summary>The whole message: where there are tags, the inside of the answer's wherever they stand, else what follows the reasoning.</summary>
    public ChatChoice Choice()
    {
        var whole = (opensReasoning ? ReasoningText.Think : "") + text;
        var tagged = whole.Contains(ReasoningText.Think, StringComparison.Ordinal) || whole.Contains(ReasoningText.ThinkEnd, StringComparison.Ordinal);
        var parts = ReasoningText.Split(whole);
        var content = tagged || whole.Contains(ReasoningText.AnswerStart, StringComparison.Ordinal) ? parts.Answer : whole;
        var reasoning = tagged ? parts.Reasoning : null;
        return new ChatChoice(Index, new ChatMessage(content, reasoning, reasoning), logProbs.Count > 0 ? new ChatLogProbs(logProbs) : null, FinishReason ?? "length");
    }

    private static ChatTokenLogProb LogProb(ServeLogProb one, IReadOnlyList<ChatTokenLogProb>? top) =>
        new(one.Token, one.LogProb, [.. Encoding.UTF8.GetBytes(one.Token).Select(value => (int)value)], top);
}

/// <summary>What one token added to a choice.</summary>
internal readonly record struct ChoiceDelta(SplitText Text, ChatTokenLogProb? LogProb);
