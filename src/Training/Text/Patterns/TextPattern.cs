using System.Text;

namespace Gradus.Training.Text.Patterns;

/// <summary>
/// A pattern over code points (.NET's see UTF-16 units) that finds what Oniguruma finds, one table look-up for each character: no text makes it back up.
/// Any number of threads may use one.
/// </summary>
internal sealed class TextPattern
{
    private readonly PatternStates states;
    private readonly string where;

    private TextPattern((PatternNode Root, IReadOnlyList<CharacterSet> Sets) parsed, string where) =>
        (states, this.where) = (new PatternStates(new PatternProgram(parsed.Root, where), parsed.Sets, where), where);

    /// <exception cref="InvalidInputException">It has what is not supported; the message names it.</exception>
    public static TextPattern Parse(string pattern, string where) => new(PatternParser.Parse(pattern, where), where);

    /// <summary>Finds a text as it is.</summary>
    public static TextPattern Literal(string text, string where) => new(PatternParser.Literal(text, where), where);

    public Enumerator Matches(ReadOnlySpan<char> text) => new(this, text);

    /// <summary>The matches of a text, from left to right. Each has at least one character.</summary>
    public ref struct Enumerator(TextPattern pattern, ReadOnlySpan<char> text)
    {
        private readonly ReadOnlySpan<char> text = text;
        private readonly byte[] classes = pattern.states.Classes;
        private int[] table = pattern.states.Table;
        private long wasted;

        public int Start { get; private set; }

        public int End { get; private set; }

        public bool MoveNext()
        {
            for (var at = End; at < text.Length;)
            {
                var end = Match(at, out var width);
                if (end < 0)
                {
                    at += width;
                    continue;
                }

                (Start, End) = (at, end);
                return true;
            }

            return false;
        }

        // Where the match that begins at a place ends, or -1. width: that of the first code point.
        private int Match(int from, out int width)
        {
            int state = PatternStates.Start, at = from, end = -1;
            width = 1;
            while (true)
            {
                int characterClass = PatternStates.EndClass, step = 1;
                if (at < text.Length)
                {
                    characterClass = classes[text[at]];
                    if (characterClass == 0) characterClass = Class(at, out step);
                    if (at == from) width = step;
                }

                var entry = table[(state << 8) | characterClass];
                if (entry == 0)
                {
                    entry = pattern.states.Transition(state, characterClass);
                    table = pattern.states.Table;
                }

                if ((entry & 1) != 0) end = at;
                state = entry >> 1;
                if (state == PatternStates.Dead) break;
                at += step;
            }

            var wanted = Math.Max(end, from);
            if (at > wanted + 1) Wasted(at - wanted);
            return end;
        }

        private readonly int Class(int at, out int step)
        {
            Rune.DecodeFromUtf16(text[at..], out var rune, out step);
            return classes[rune.Value] is > 0 and var known ? known : pattern.states.ClassOf(rune.Value);
        }

        // A pattern such as a*b reads on to the end of the text from every place and finds nothing: quadratic, where no published one is.
        private void Wasted(int characters)
        {
            wasted += characters;
            if (wasted > 100_000 + (64L * text.Length))
                throw new InvalidInputException($"The pattern of {pattern.where} reads this text too often: it goes on from {Start} for {wasted} characters of {text.Length} without a match.", pattern.where, "out_of_range");
        }
    }
}
