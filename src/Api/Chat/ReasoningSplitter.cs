// Splits a completion, as it comes, into reasoning and answer. The form is <think>reasoning</think><answer>answer</answer>; the answer's tags may be
// missing, and the opening think tag may stand in the prompt already. Held back is only what may yet be (part of) a tag, and space at the edges.
using System.Text;

namespace Gradus.Api.Chat;

/// <summary>What a piece of text added.</summary>
internal readonly record struct SplitText(string Reasoning, string Content);

/// <param name="opened">The prompt ends with the opening think tag.</param>
internal sealed class ReasoningSplitter(bool opened)
{
    private const string Think = "<think>", EndThink = "</think>", Answer = "<answer>", EndAnswer = "</answer>";

    private readonly StringBuilder held = new();
    private Part part = opened ? Part.Reasoning : Part.Start;
    private bool atEdge = true;

    private enum Part { Start, Reasoning, BeforeAnswer, Plain, Answer, After }

    /// <summary>Whether the completion has a reasoning at all, closed or not.</summary>
    public bool HasReasoning { get; private set; } = opened;

    /// <summary>Whether the text so far ends inside the reasoning.</summary>
    public bool InReasoning => part == Part.Reasoning;

    /// <summary>Takes the next piece; gives what is certain.</summary>
    public SplitText Push(string text) => Split(text, last: false);

    /// <summary>What was held back, after the last piece.</summary>
    public SplitText Flush() => Split("", last: true);

    private SplitText Split(string text, bool last)
    {
        held.Append(text);
        StringBuilder reasoning = new(), content = new();
        while (Advance(last, reasoning, content))
        {
        }
        return new SplitText(reasoning.ToString(), content.ToString());
    }

    // One part's worth of what is held; true when another part begins.
    private bool Advance(bool last, StringBuilder reasoning, StringBuilder content)
    {
        switch (part)
        {
            case Part.Start:
                return Open(Think, Part.Reasoning, Part.BeforeAnswer, last);
            case Part.Reasoning:
                HasReasoning = true;
                return Through(EndThink, Part.BeforeAnswer, reasoning, last);
            case Part.BeforeAnswer:
                return Open(Answer, Part.Answer, Part.Plain, last);
            case Part.Answer:
                return Through(EndAnswer, Part.After, content, last);
            case Part.Plain:
                // Behind a reasoning, space at the end is no part of the answer; in a text without tags it is.
                var text = held.ToString();
                var kept = HasReasoning ? text.TrimEnd().Length : text.Length;
                content.Append(text, 0, kept);
                held.Clear();
                if (!last) held.Append(text, kept, text.Length - kept);
                return false;
            default:
                held.Clear();
                return false;
        }
    }

    // At an opening tag, perhaps after space: with the tag to one part, without it to the other.
    private bool Open(string tag, Part with, Part without, bool last)
    {
        var text = held.ToString();
        var start = text.AsSpan().TrimStart();
        if (start.StartsWith(tag))
        {
            held.Clear().Append(start[tag.Length..]);
            (part, atEdge) = (with, true);
            return true;
        }
        if (!last && tag.AsSpan().StartsWith(start)) return false;
        // Space before a text without tags is the text's own, but for what stands behind the reasoning.
        if (part == Part.BeforeAnswer && HasReasoning) held.Clear().Append(start);
        part = without;
        return true;
    }

    // Up to a closing tag; space at both edges is no part of it.
    private bool Through(string tag, Part next, StringBuilder output, bool last)
    {
        var text = held.ToString();
        if (atEdge)
        {
            text = text.TrimStart();
            if (text.Length > 0) atEdge = false;
        }
        var end = text.IndexOf(tag, StringComparison.Ordinal);
        if (end >= 0)
        {
            output.Append(text.AsSpan(0, end).TrimEnd());
            held.Clear().Append(text, end + tag.Length, text.Length - end - tag.Length);
            part = next;
            return true;
        }
        var keep = last ? text.Length : Sure(text, tag);
        var sure = text.AsSpan(0, keep).TrimEnd();
        output.Append(sure);
        held.Clear();
        if (!last) held.Append(text.AsSpan(sure.Length));
        return false;
    }

    private static int Sure(string text, string tag)
    {
        for (var length = Math.Min(tag.Length - 1, text.Length); length > 0; length--)
        {
            if (text.EndsWith(tag[..length], StringComparison.Ordinal)) return text.Length - length;
        }
        return text.Length;
    }
}
