using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Gradus.Tests;
using Npgsql;

namespace Gradus.Api.Tests.Jobs;

/// <summary>A way to a database that can be cut, as if the server or the network were gone.</summary>
internal sealed class PostgresProxy : IDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly ConcurrentBag<TcpClient> clients = [];
    private readonly NpgsqlConnectionStringBuilder target;
    private volatile bool cut;
    private int refused;

    public PostgresProxy(PostgresDatabase database)
    {
        target = new NpgsqlConnectionStringBuilder(database.ConnectionString);
        listener.Start();
        ConnectionString = new NpgsqlConnectionStringBuilder(database.ConnectionString) { Host = "127.0.0.1", Port = ((IPEndPoint)listener.LocalEndpoint).Port, SslMode = SslMode.Disable }.ConnectionString;
        _ = AcceptAsync();
    }

    public string ConnectionString { get; }

    /// <summary>Connections refused while cut.</summary>
    public int Refused => Volatile.Read(ref refused);

    public void Cut()
    {
        cut = true;
        foreach (var client in clients) client.Dispose();
    }

    public void Restore() => cut = false;

    public void Dispose()
    {
        listener.Dispose();
        Cut();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var inner = await listener.AcceptTcpClientAsync();
                if (cut)
                {
                    Interlocked.Increment(ref refused);
                    inner.Dispose();
                    continue;
                }

                var outer = new TcpClient();
                await outer.ConnectAsync(target.Host!, target.Port);
                clients.Add(inner);
                clients.Add(outer);
                _ = PumpAsync(inner, outer);
                _ = PumpAsync(outer, inner);
            }
        }
        catch (Exception ended) when (ended is SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    private static async Task PumpAsync(TcpClient from, TcpClient to)
    {
        try
        {
            await from.GetStream().CopyToAsync(to.GetStream());
        }
        catch (Exception ended) when (ended is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // Cut, or closed by one side.
        }

        from.Dispose();
        to.Dispose();
    }
}
