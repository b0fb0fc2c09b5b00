namespace Gradus.Training.Text.Decoders;

/// <summary>
/// One step from tokens back to text, for one sequence: it takes the tokens of the step before as they come and hands on what nothing that comes later can
/// change. A token may come in several parts, as that of a step that joins all tokens into one does.
/// </summary>
internal abstract class DecodeStep
{
    /// <summary>A part of the current token.</summary>
    public abstract void Part(ReadOnlySpan<char> text);

    /// <summary>The current token has come whole.</summary>
    public abstract void EndToken();

    /// <summary>No token will come any more.</summary>
    public abstract void End();
}

/// <summary>A step that needs each token whole.</summary>
internal abstract class WholeTokenStep : DecodeStep
{
    private readonly System.Text.StringBuilder token = new();

    public sealed override void Part(ReadOnlySpan<char> text) => token.Append(text);

    public sealed override void EndToken()
    {
        var whole = token.ToString();
        token.Clear();
        Token(whole);
    }

    protected abstract void Token(string token);
}
