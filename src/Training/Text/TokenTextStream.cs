using System.Text;

namespace Gradus.Training.Text;

/// <summary>
/// Text as its tokens come: never half a character. All that it gives, put together, is what <see cref="Tokenizer.Decode"/> gives for all the
/// tokens at once. One stream belongs to one sequence and one thread.
/// </summary>
public sealed class TokenTextStream(Tokenizer tokenizer, bool skipSpecialTokens = false)
{
    private readonly Decoder decoder = Encoding.UTF8.GetDecoder();

    /// <summary>The characters that this token completes; often all of it, empty while a character is unfinished.</summary>
    public string Push(int token) => Convert(tokenizer.BytesOf(token, skipSpecialTokens), flush: false);

    /// <summary>The end: U+FFFD for a character that was never finished, otherwise empty. The stream can be used anew.</summary>
    public string Flush() => Convert(default, flush: true);

    private string Convert(ReadOnlySpan<byte> bytes, bool flush)
    {
        var characters = new char[Encoding.UTF8.GetMaxCharCount(bytes.Length)];
        return new string(characters, 0, decoder.GetChars(bytes, characters, flush));
    }
}
