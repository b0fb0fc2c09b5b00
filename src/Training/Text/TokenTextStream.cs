using System.Text;
using Gradus.Training.Text.Decoders;

namespace Gradus.Training.Text;

/// <summary>
/// Text as its tokens come: never half a character, and nothing that a later token changes. All that it gives, put together, is what
/// <see cref="Tokenizer.Decode"/> gives for all the tokens at once. One stream belongs to one sequence and one thread.
/// </summary>
public sealed class TokenTextStream(Tokenizer tokenizer, bool skipSpecialTokens = false)
{
    private readonly StringBuilder text = new();
    private DecodeStep? step;

    /// <summary>The characters that this token makes certain; often all of it, empty while a character is unfinished.</summary>
    public string Push(int token)
    {
        step ??= tokenizer.OpenDecoder(text);
        if (tokenizer.TokenOf(token, skipSpecialTokens) is { } form)
        {
            step.Part(form);
            step.EndToken();
        }

        return Take();
    }

    /// <summary>The end: what waited, with U+FFFD for a character that was never finished. The stream can be used anew.</summary>
    public string Flush()
    {
        step?.End();
        step = null;
        return Take();
    }

    private string Take()
    {
        if (text.Length == 0) return "";
        var result = text.ToString();
        text.Clear();
        return result;
    }
}
