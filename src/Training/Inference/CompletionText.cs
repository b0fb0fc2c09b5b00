using System.Text;
using Gradus.Training.Text;

namespace Gradus.Training.Inference;

/// <summary>The text of one completion as its tokens come: whole characters only, and nothing from a stop text on. Special tokens leave no text.</summary>
/// <param name="stops">Texts that end the completion; none is empty.</param>
public sealed class CompletionText(Tokenizer tokenizer, IReadOnlyList<string> stops)
{
    private readonly TokenTextStream stream = new(tokenizer, skipSpecialTokens: true);
    private readonly StringBuilder held = new();

    /// <summary>A stop text has come; what follows is nothing.</summary>
    public bool Stopped { get; private set; }

    /// <summary>The text that is certain now: what may yet turn into a stop text is held back.</summary>
    public string Push(int token) => Stopped ? "" : Take(stream.Push(token), last: false);

    /// <summary>The text that was held back, after the last token.</summary>
    public string Flush() => Stopped ? "" : Take(stream.Flush(), last: true);

    private string Take(string text, bool last)
    {
        held.Append(text);
        var all = held.ToString();
        var first = stops.Select(stop => all.IndexOf(stop, StringComparison.Ordinal)).Where(place => place >= 0).DefaultIfEmpty(-1).Min();
        if (first >= 0) Stopped = true;
        var keep = first >= 0 ? first : last ? all.Length : all.Length - Unsure(all);
        held.Clear();
        if (!Stopped) held.Append(all, keep, all.Length - keep);
        return all[..keep];
    }

    // The longest end of the text that is the beginning of a stop text.
    private int Unsure(string text)
    {
        var longest = 0;
        foreach (var stop in stops)
        {
            for (var length = Math.Min(stop.Length - 1, text.Length); length > longest; length--)
            {
                if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length))) longest = length;
            }
        }
        return longest;
    }
}
