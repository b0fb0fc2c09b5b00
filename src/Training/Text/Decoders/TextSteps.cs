using System.Text;
using Gradus.Training.Text.Normalizers;
using Gradus.Training.Text.Patterns;

namespace Gradus.Training.Text.Decoders;

/// <summary>All tokens become one.</summary>
internal sealed class FuseStep(DecodeStep next) : DecodeStep
{
    public override void Part(ReadOnlySpan<char> text) => next.Part(text);

    public override void EndToken()
    {
    }

    public override void End()
    {
        next.EndToken();
        next.End();
    }
}

/// <summary>The replacement becomes a space, and nothing in the first token where one was put before the text.</summary>
internal sealed class MetaspaceStep(char replacement, bool prepended, DecodeStep next) : DecodeStep
{
    private bool first = true;

    public override void Part(ReadOnlySpan<char> text) =>
        next.Part(text.ToString().Replace(replacement.ToString(), first && prepended ? "" : " ", StringComparison.Ordinal));

    public override void EndToken()
    {
        first = false;
        next.EndToken();
    }

    public override void End() => next.End();
}

/// <summary>Takes up to so many of a character from the start and the end of each token; what may be the end waits.</summary>
internal sealed class StripStep(char content, int start, int stop, DecodeStep next) : DecodeStep
{
    private int taken, waiting; // from the start of the token (all, once another character has come), and at its end

    public override void Part(ReadOnlySpan<char> text)
    {
        for (; taken < start && !text.IsEmpty && text[0] == content; taken++) text = text[1..];
        if (!text.IsEmpty) taken = start;

        var kept = text.TrimEnd(content);
        if (!kept.IsEmpty)
        {
            Write(waiting);
            next.Part(kept);
            waiting = 0;
        }

        waiting += text.Length - kept.Length;
        Write(waiting - stop);
        waiting = Math.Min(waiting, stop);
    }

    public override void EndToken()
    {
        (taken, waiting) = (0, 0);
        next.EndToken();
    }

    public override void End() => next.End();

    private void Write(int count)
    {
        if (count > 0) next.Part(new string(content, count));
    }
}

/// <summary>Puts a text in place of another within each token; what may be the beginning of one waits.</summary>
internal sealed class ReplaceTextStep(string pattern, string content, DecodeStep next) : DecodeStep
{
    private readonly StringBuilder waiting = new();

    public override void Part(ReadOnlySpan<char> text)
    {
        var all = waiting.Append(text).ToString();
        waiting.Clear();
        var rest = all.AsSpan();
        for (int at; (at = rest.IndexOf(pattern)) >= 0; rest = rest[(at + pattern.Length)..])
        {
            next.Part(rest[..at]);
            next.Part(content);
        }

        var kept = Math.Min(pattern.Length - 1, rest.Length);
        while (!pattern.AsSpan().StartsWith(rest[^kept..])) kept--;
        next.Part(rest[..^kept]);
        waiting.Append(rest[^kept..]);
    }

    public override void EndToken()
    {
        next.Part(waiting.ToString());
        waiting.Clear();
        next.EndToken();
    }

    public override void End() => next.End();
}

/// <summary>Puts a text in place of what a pattern matches within each token.</summary>
internal sealed class ReplacePatternStep(TextPattern pattern, string content, DecodeStep next) : WholeTokenStep
{
    protected override void Token(string token)
    {
        next.Part(TextNormalizer.Replace(token, pattern, content));
        next.EndToken();
    }

    public override void End() => next.End();
}
