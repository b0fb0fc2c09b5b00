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
            var digit = CharacterClass.At(text, at, out var width) == CharacterKind.Number;
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
