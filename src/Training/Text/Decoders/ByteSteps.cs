using System.Text;
using Gradus.Training.Text.Models;

namespace Gradus.Training.Text.Decoders;

/// <summary>
/// A token written in the alphabet of bytes stands for those bytes, any other for its own text; all tokens together are one UTF-8 text, in which what is
/// no UTF-8 becomes U+FFFD.
/// </summary>
internal sealed class ByteLevelStep(DecodeStep next) : WholeTokenStep
{
    private readonly Decoder decoder = Encoding.UTF8.GetDecoder();

    protected override void Token(string token)
    {
        var bytes = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
        {
            if (ByteAlphabet.Byte(token[i]) is not (>= 0 and var value))
            {
                bytes = Encoding.UTF8.GetBytes(token);
                break;
            }

            bytes[i] = (byte)value;
        }

        Write(bytes, flush: false);
    }

    public override void End()
    {
        Write([], flush: true);
        next.EndToken();
        next.End();
    }

    private void Write(byte[] bytes, bool flush)
    {
        var characters = new char[Encoding.UTF8.GetMaxCharCount(bytes.Length)];
        next.Part(characters.AsSpan(0, decoder.GetChars(bytes, characters, flush)));
    }
}

/// <summary>
/// Tokens of single bytes that follow one another become the text that they are in UTF-8, or U+FFFD each where they are none: the last of them decides, so
/// they wait for it.
/// </summary>
internal sealed class ByteFallbackStep(DecodeStep next) : WholeTokenStep
{
    private static readonly UTF8Encoding strict = new(false, throwOnInvalidBytes: true);

    private readonly List<byte> waiting = [];

    protected override void Token(string token)
    {
        if (ByteTokens.Byte(token) is >= 0 and var value)
        {
            waiting.Add((byte)value);
            return;
        }

        WriteBytes();
        next.Part(token);
        next.EndToken();
    }

    public override void End()
    {
        WriteBytes();
        next.End();
    }

    private void WriteBytes()
    {
        if (waiting.Count == 0) return;
        try
        {
            next.Part(strict.GetString([.. waiting]));
            next.EndToken();
        }
        catch (DecoderFallbackException)
        {
            for (var i = 0; i < waiting.Count; i++)
            {
                next.Part("\uFFFD");
                next.EndToken();
            }
        }

        waiting.Clear();
    }
}
