using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Gradus.Training.Text.Normalizers;

/// <summary>
/// Unicode's normal forms C, D, KC and KD (UAX 15). .NET's own do nothing where the process runs without cultures, as ours do. The tables are the
/// embedded unicode-forms.txt.
/// </summary>
internal static class UnicodeForms
{
    private const int SyllableBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TailBase = 0x11A7, Vowels = 21, Tails = 28, Syllables = 19 * Vowels * Tails;

    private static readonly Dictionary<int, byte> classes = [];
    private static readonly Dictionary<int, (int[] Parts, bool Compatible)> decompositions = [];
    private static readonly Dictionary<long, int> compositions = [];
    private static readonly HashSet<int> unstable = []; // what form C may change: not composed again, or the second part of a composition

    static UnicodeForms()
    {
        using var reader = new StreamReader(typeof(UnicodeForms).Assembly.GetManifestResourceStream("unicode-forms.txt")!);
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith('#')) continue;
            foreach (var entry in line.Split(';', StringSplitOptions.RemoveEmptyEntries)) Read(entry);
        }

        for (var jamo = VowelBase; jamo < TailBase + Tails; jamo++) unstable.Add(jamo);
    }

    /// <summary>The form of a text; the same text where it has it already. An unpaired surrogate stays or becomes U+FFFD.</summary>
    /// <param name="compatible">Forms KC and KD: what only looks different becomes the same.</param>
    /// <param name="compose">Forms C and KC.</param>
    public static string Of(string text, bool compatible, bool compose)
    {
        if (HasForm(text, compatible, compose)) return text;
        var characters = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes()) Decompose(rune.Value, compatible, characters);
        var span = CollectionsMarshal.AsSpan(characters);
        Order(span);
        if (compose) span = span[..Compose(span)];
        var result = new StringBuilder(text.Length);
        foreach (var character in span) result.Append(new Rune(character));
        return result.ToString();
    }

    private static bool HasForm(string text, bool compatible, bool compose)
    {
        var safe = compatible ? 0xA0 : compose ? 0x300 : 0xC0;
        var place = text.AsSpan().IndexOfAnyExceptInRange('\0', (char)(safe - 1));
        if (place < 0) return true;
        foreach (var rune in text.AsSpan(place).EnumerateRunes())
        {
            var character = rune.Value;
            if (character < safe) continue;
            if (classes.ContainsKey(character)) return false;
            if (compose ? unstable.Contains(character) : (uint)(character - SyllableBase) < Syllables) return false;
            if ((compatible || !compose) && decompositions.TryGetValue(character, out var entry) && (compatible ? entry.Compatible || !compose : !entry.Compatible)) return false;
        }

        return true;
    }

    private static void Decompose(int character, bool compatible, List<int> result)
    {
        if ((uint)(character - SyllableBase) < Syllables)
        {
            var index = character - SyllableBase;
            result.Add(LeadBase + (index / (Vowels * Tails)));
            result.Add(VowelBase + (index % (Vowels * Tails) / Tails));
            if (index % Tails != 0) result.Add(TailBase + (index % Tails));
        }
        else if (character >= 0xA0 && decompositions.TryGetValue(character, out var entry) && (compatible || !entry.Compatible))
        {
            foreach (var part in entry.Parts) Decompose(part, compatible, result);
        }
        else
        {
            result.Add(character);
        }
    }

    private static byte Class(int character) => character < 0x300 ? (byte)0 : classes.GetValueOrDefault(character);

    // Marks in a row stand in the order of their classes, those of one class as they came.
    private static void Order(Span<int> characters)
    {
        for (var start = 0; start < characters.Length; start++)
        {
            if (Class(characters[start]) == 0) continue;
            var end = start + 1;
            while (end < characters.Length && Class(characters[end]) != 0) end++;
            if (end - start > 1)
            {
                var keys = new long[end - start];
                for (var i = start; i < end; i++) keys[i - start] = ((long)Class(characters[i]) << 52) | ((long)(i - start) << 21) | (uint)characters[i];
                Array.Sort(keys);
                for (var i = start; i < end; i++) characters[i] = (int)(keys[i - start] & 0x1FFFFF);
            }

            start = end;
        }
    }

    // In place; how many are left. A character joins the last starter unless one of its own class or higher stands between them.
    private static int Compose(Span<int> characters)
    {
        int starter = -1, count = 0, between = 0;
        foreach (var character in characters)
        {
            var own = Class(character);
            if (starter >= 0 && (count - 1 == starter || between < own) && Composed(characters[starter], character) is >= 0 and var composed)
            {
                characters[starter] = composed;
                continue;
            }

            if (own == 0) (starter, between) = (count, 0);
            else between = own;
            characters[count++] = character;
        }

        return count;
    }

    private static int Composed(int first, int second)
    {
        if ((uint)(first - LeadBase) < 19 && (uint)(second - VowelBase) < Vowels) return SyllableBase + ((((first - LeadBase) * Vowels) + second - VowelBase) * Tails);
        if ((uint)(first - SyllableBase) < Syllables && (first - SyllableBase) % Tails == 0 && second > TailBase && second < TailBase + Tails) return first + second - TailBase;
        return compositions.GetValueOrDefault(((long)first << 32) | (uint)second, -1);
    }

    private static void Read(string entry)
    {
        var (range, decomposition) = entry.Split('=') is [var before, var after] ? (before, after) : (entry, null);
        var (codes, combining) = range.Split('@') is [var left, var right] ? (left, byte.Parse(right, CultureInfo.InvariantCulture)) : (range, (byte)0);
        var (first, last) = codes.Split('-') is [var from, var to] ? (Hex(from), Hex(to)) : (Hex(codes), Hex(codes));
        for (var character = first; combining > 0 && character <= last; character++) classes[character] = combining;
        if (decomposition is null) return;
        var parts = decomposition.TrimStart('~', '!').Split(' ').Select(Hex).ToArray();
        decompositions[first] = (parts, decomposition[0] == '~');
        if (decomposition[0] == '!') unstable.Add(first);
        if (char.IsAsciiHexDigit(decomposition[0]))
        {
            compositions[((long)parts[0] << 32) | (uint)parts[1]] = first;
            unstable.Add(parts[1]);
        }
    }

    private static int Hex(string code) => int.Parse(code, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
