namespace Gradus.Training.Text;

/// <summary>A set of texts with a number each, walked character by character: finds all that a place begins with in one pass.</summary>
internal sealed class CharacterTrie
{
    private readonly Dictionary<long, int> children = [];
    private readonly List<int> values = [-1]; // by node; -1 where no text ends

    /// <summary>The root; <see cref="Child"/> and <see cref="Value"/> go on from it.</summary>
    public const int Root = 0;

    /// <summary>Adds a text; one that is there already gets the newer number.</summary>
    public void Add(ReadOnlySpan<char> text, int value)
    {
        var node = Root;
        foreach (var c in text)
        {
            if (!children.TryGetValue(Key(node, c), out var child))
            {
                child = values.Count;
                children[Key(node, c)] = child;
                values.Add(-1);
            }

            node = child;
        }

        values[node] = value;
    }

    /// <summary>The node one character further; false where no text goes on that way.</summary>
    public bool Child(int node, char c, out int child) => children.TryGetValue(Key(node, c), out child);

    /// <summary>The number of the text that ends at a node, or -1.</summary>
    public int Value(int node) => values[node];

    /// <summary>The longest text that <paramref name="text"/> begins with: its length and number; length 0 where there is none.</summary>
    public (int Length, int Value) Longest(ReadOnlySpan<char> text)
    {
        var (node, found) = (Root, (0, -1));
        for (var i = 0; i < text.Length && Child(node, text[i], out node); i++)
            if (values[node] >= 0) found = (i + 1, values[node]);
        return found;
    }

    private static long Key(int node, char c) => ((long)node << 16) | c;
}
