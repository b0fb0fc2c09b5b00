namespace Gradus.Training.Rewards;

/// <summary>
/// A completion's reasoning and answer: <c>&lt;think&gt;reasoning&lt;/think&gt;&lt;answer&gt;answer&lt;/answer&gt;</c> (paper, template of
/// DeepSeek-R1-Zero). Both parts without the white space around them.
/// </summary>
/// <param name="Reasoning">Inside of <c>&lt;think&gt;</c>, so far as it goes; what stands before a lone <c>&lt;/think&gt;</c>; empty where there is neither.</param>
/// <param name="Answer">Inside of the <c>&lt;answer&gt;</c> after the reasoning, so far as it goes, else the text after <c>&lt;/think&gt;</c>; empty while the reasoning
/// is unclosed; the whole text where nothing is tagged.</param>
/// <param name="WellFormed">All four tags exactly once, in this order, and nothing but white space outside them.</param>
public sealed record ReasoningText(string Reasoning, string Answer, bool WellFormed)
{
    public const string Think = "<think>", ThinkEnd = "</think>", AnswerStart = "<answer>", AnswerEnd = "</answer>";

    public static ReasoningText Split(string completion)
    {
        int think = Find(completion, Think, 0), thinkEnd = Find(completion, ThinkEnd, Math.Max(think, 0));
        if (think >= 0 && thinkEnd < 0) return new ReasoningText(completion[(think + Think.Length)..].Trim(), "", false);
        var reasoning = thinkEnd < 0 ? "" : completion[(think < 0 ? 0 : think + Think.Length)..thinkEnd].Trim();
        var rest = thinkEnd < 0 ? 0 : thinkEnd + ThinkEnd.Length;
        int answer = Find(completion, AnswerStart, rest), answerEnd = answer < 0 ? -1 : Find(completion, AnswerEnd, answer);
        var inside = answer < 0 ? completion[rest..] : completion[(answer + AnswerStart.Length)..(answerEnd < 0 ? completion.Length : answerEnd)];
        var wellFormed = think >= 0 && answerEnd >= 0
            && Blank(completion, 0, think) && Blank(completion, rest, answer) && Blank(completion, answerEnd + AnswerEnd.Length, completion.Length)
            && Once(completion, Think, think) && Once(completion, ThinkEnd, thinkEnd) && Once(completion, AnswerStart, answer) && Once(completion, AnswerEnd, answerEnd);
        return new ReasoningText(reasoning, inside.Trim(), wellFormed);
    }

    private static int Find(string text, string tag, int from) => text.IndexOf(tag, from, StringComparison.Ordinal);

    private static bool Once(string text, string tag, int at) => Find(text, tag, 0) == at && Find(text, tag, at + tag.Length) < 0;

    private static bool Blank(string text, int from, int to) => text.AsSpan(from, to - from).IsWhiteSpace();
}
