using System.Text.RegularExpressions;

namespace Gradus.Training.Rollouts;

/// <summary>Words by which a model turns back on what it wrote. The English ones are the paper's (Nature 2025, Extended Data Fig. 1); the Chinese ones are ours.</summary>
internal static class ReflectiveWords
{
    private static readonly string[] english = ["wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "check"];

    /// <summary>Wait, check, anew, verify, however.</summary>
    private static readonly string[] chinese = ["等等", "检查", "重新", "验证", "然而"];

    // Chinese has no spaces between words: an English word ends where Latin letters do.
    private static readonly Regex any = new($"(?<![A-Za-z])(?:{string.Join('|', english)})(?![A-Za-z])|{string.Join('|', chinese)}", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant | RegexOptions.Compiled);

    /// <summary>How often one of them stands in the text.</summary>
    public static int Count(string text) => any.Count(text);
}
