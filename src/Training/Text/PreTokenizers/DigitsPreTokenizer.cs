using System.Text;

namespace Gradus.Training.Text.PreTokenizers;

/// <summary>Digits (Unicode's categories Nd, Nl, No) apart from the rest: one by one, or a run in one piece.</summary>
internal sealed class DigitsPreTokenizer(bool individual) : IPreTokenizer
{
    public void Split(ReadOnlySpan<char> text, PieceList pieces)
    {
        int start = 0, at = 0;
        var inDigits = false;
        while (at < text.Length)
        {
            Rune.DecodeFromUtf16(text[at..], out var rune, out var width);
            var digit = CharacterClass.Of(rune) == CharacterKind.Number;
            if (at > start && (digit != inDigits || (digit && individual)))
            {
                pieces.Add(text[start..at]);
                start = at;
            }

            inDigits = digit;
            at += width;
        }

        pieces.Add(text[start..]);
    }
}
