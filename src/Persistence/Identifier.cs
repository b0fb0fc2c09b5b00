namespace Gradus.Persistence;

/// <summary>Opaque ids with a prefix: <c>job_</c>, <c>run_</c>, <c>model_</c>, <c>file_</c>. They sort by the time they were made.</summary>
public static class Identifier
{
    public static string New(string prefix) => prefix + "_" + Guid.CreateVersion7().ToString("N");
}
